//! Every date the reference was asked about, judged by the contract instead of by PostgreSQL's parser.

use serde_json::Value;

use crate::support::{API, create, record, shared, unique};

/// `["sent", "create status", "stored", …]` a line, as recorded from the reference.
const RECORDED: &str = include_str!("../data/reference-dates.jsonl");

/// What the contract makes of a date: the forms it names, and the day they mean.
fn meaning(sent: &str) -> Option<&'static str> {
    Some(match sent {
        "2023-08-01" | "20230801" | "2023/08/01" | "Tue, 01 Aug 2023 00:00:00 GMT" => "2023-08-01",
        "2023-08-01T10:00:00" | "2023-08-01T23:59:59Z" | "2023-08-01 10:00:00+05:30" => "2023-08-01",
        "2024-02-29" => "2024-02-29",
        "0001-01-01" => "0001-01-01",
        "0099-12-31" => "0099-12-31",
        "9999-12-31" => "9999-12-31",
        "1900-01-01" => "1900-01-01",
        "1970-01-01" => "1970-01-01",
        _ => return None,
    })
}

fn judge(sent: &str, expected: Option<&str>) {
    let id = unique("date");
    let answer = create(shared(), &record(&id, "n", "s", sent));
    match expected {
        Some(day) => {
            answer.expect(200);
            let found = shared().get(&format!("{API}/search?id={id}&date={day}")).expect(200).json();
            assert_eq!(found["date"], day, "{sent:?}");
        }
        None => {
            let body = answer.expect(400).json();
            assert_eq!(body["details"][0]["field"], "date", "{sent:?}: {body}");
            let problem = body["details"][0]["problem"].as_str().expect("a problem");
            assert!(problem.contains("YYYY-MM-DD"), "it says which forms are accepted: {problem}");
            shared().get(&format!("{API}/search?id={id}")).expect(404);
        }
    }
}

#[test]
fn every_recorded_date_is_judged_by_the_contract() {
    let mut accepted = 0;
    for line in RECORDED.lines().skip(1) {
        let row: Vec<Value> = serde_json::from_str(line).expect("a line is JSON");
        let sent = row[0].as_str().expect("what was sent is text");
        accepted += usize::from(meaning(sent).is_some());
        judge(sent, meaning(sent));
    }
    assert_eq!(accepted, 13, "every accepted form is in the record");
}

#[test]
fn where_both_accept_a_date_they_mean_the_same_day() {
    for line in RECORDED.lines().skip(1) {
        let row: Vec<Value> = serde_json::from_str(line).expect("a line is JSON");
        let (sent, stored) = (row[0].as_str().unwrap(), row[2].as_str().unwrap());
        if let Some(day) = meaning(sent) {
            assert_eq!(day, stored, "{sent:?}");
        }
    }
}

#[test]
fn words_and_ambiguous_forms_are_refused() {
    for sent in ["today", "now", "tomorrow", "yesterday", "allballs", "NaN", "2023-08", "2023", "23-08-01", "8/1/2023"]
    {
        judge(sent, None);
    }
}

#[test]
fn the_calendar_is_checked_to_its_edges() {
    let good = [
        ("2000-02-29", "2000-02-29"),
        ("9999-12-31T23:59:60Z", "9999-12-31"),
        ("20240229", "2024-02-29"),
        ("2024/02/29", "2024-02-29"),
        ("Thu, 29 Feb 2024 00:00:00 GMT", "2024-02-29"),
        ("2023-08-01T10:00", "2023-08-01"),
        ("2023-08-01T10:00:00.123456+05:30", "2023-08-01"),
    ];
    for (sent, day) in good {
        judge(sent, Some(day));
    }
    let bad = [
        "1900-02-29",
        "2100-02-29",
        "2023-04-31",
        "20230229",
        "2023/02/29",
        "Thu, 29 Feb 2023 00:00:00 GMT",
        "Wed, 01 Aug 2023 00:00:00 GMT",
        "2023-08-01T",
        "2023-08-01T24:01:00",
        "2023-08-01T10:60:00",
        "2023-08-01T10:00:00+25:00",
        "2023-08-01 BC",
        "-0001-01-01",
    ];
    for sent in bad {
        judge(sent, None);
    }
}
