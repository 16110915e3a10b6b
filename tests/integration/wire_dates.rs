//! Every date recorded from the reference. The contract decides which forms are accepted, not PostgreSQL's parser.

use serde_json::Value;

use crate::support::{API, create, record, shared, unique};

/// One line for each date, `["sent", "create status", "stored", …]`, as recorded from the reference.
const RECORDED: &str = include_str!("../data/reference-dates.jsonl");

/// The day that a recorded date means by the contract; `None` if the contract does not accept its form.
fn contract_date(sent: &str) -> Option<&'static str> {
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

fn assert_date(sent: &str, expected: Option<&str>) {
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
fn every_recorded_date_is_accepted_or_rejected_by_the_contract() {
    let mut accepted = 0;
    for line in RECORDED.lines().skip(1) {
        let row: Vec<Value> = serde_json::from_str(line).expect("a line is JSON");
        let sent = row[0].as_str().expect("what was sent is text");
        accepted += usize::from(contract_date(sent).is_some());
        assert_date(sent, contract_date(sent));
    }
    assert_eq!(accepted, 13, "every accepted form is in the record");
}

#[test]
fn a_date_that_both_accept_means_one_day() {
    for line in RECORDED.lines().skip(1) {
        let row: Vec<Value> = serde_json::from_str(line).expect("a line is JSON");
        let (sent, stored) = (row[0].as_str().unwrap(), row[2].as_str().unwrap());
        if let Some(day) = contract_date(sent) {
            assert_eq!(day, stored, "{sent:?}");
        }
    }
}

#[test]
fn words_and_ambiguous_forms_are_rejected() {
    for sent in ["today", "now", "tomorrow", "yesterday", "allballs", "NaN", "2023-08", "2023", "23-08-01", "8/1/2023"]
    {
        assert_date(sent, None);
    }
}

#[test]
fn calendar_limits_are_checked() {
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
        assert_date(sent, Some(day));
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
        assert_date(sent, None);
    }
}
