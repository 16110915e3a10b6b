//! `GET /search/all`: the whole table, filtered, and in pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{
    API, Appliance, Connection, Request, create, eventually, record, records, shared, shared_postgres, unique,
};

/// Follows the `Link` headers from `query` to the last page; returns the records of each page.
fn all_pages(appliance: &Appliance, query: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut target = format!("{API}/search/all{query}");
    loop {
        let answer = appliance.get(&target).expect(200);
        pages.push(answer.json().as_array().expect("an array").clone());
        assert!(pages.len() < 1_000, "paging ends");
        let Some(link) = answer.header("link") else { return pages };
        target = next_target(link);
        assert!(target.contains("after="), "{link}");
    }
}

fn next_target(link: &str) -> String {
    let (target, relation) = link.strip_prefix('<').and_then(|link| link.split_once('>')).expect("<…>; rel=…");
    assert_eq!(relation.trim(), "; rel=\"next\"", "{link}");
    let path = target.find(API).expect("the link leads to the API");
    target[path..].to_owned()
}

/// Creates twelve records of three employees; `status` distinguishes them from the records of other tests.
fn create_twelve_records(status: &str) -> Vec<Value> {
    let prefix = unique("all");
    let mut expected = Vec::new();
    for employee in ["10", "2", "B"] {
        for day in 1..=4 {
            let record = record(
                &format!("{prefix}-{employee}"),
                &format!("Name {employee}"),
                status,
                &format!("2023-08-{day:02}"),
            );
            create(shared(), &record).expect(200);
            expected.push(record);
        }
    }
    expected
}

#[test]
fn a_list_without_matches_is_an_empty_array() {
    let answer = shared().get(&format!("{API}/search/all?status={}", unique("unknown"))).expect(200);
    assert_eq!(answer.text(), "[]\n");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn records_are_listed_in_order_from_an_empty_table_on() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    assert_eq!(appliance.get(&format!("{API}/search/all")).expect(200).text(), "[]\n");
    for (id, date) in [
        ("b", "2023-08-01"),
        ("10", "2023-08-02"),
        ("a", "2023-08-03"),
        ("10", "2023-08-01"),
        ("2", "2023-08-01"),
        ("B", "2023-08-01"),
    ] {
        create(&appliance, &record(id, "n", "s", date)).expect(200);
    }
    let text = appliance.get(&format!("{API}/search/all")).expect(200).text();
    let row = |id: &str, date: &str| format!("{{\"id\":\"{id}\",\"name\":\"n\",\"status\":\"s\",\"date\":\"{date}\"}}");
    let rows = [
        row("10", "2023-08-01"),
        row("10", "2023-08-02"),
        row("2", "2023-08-01"),
        row("B", "2023-08-01"),
        row("a", "2023-08-03"),
        row("b", "2023-08-01"),
    ];
    assert_eq!(text, format!("[{}]\n", rows.join(",")));
}

#[test]
fn filters_match_exactly_and_combine() {
    let status = unique("filter");
    let all = create_twelve_records(&status);
    assert_eq!(records(shared(), &format!("?status={status}")), all);
    let id = all[4]["id"].as_str().unwrap();
    assert_eq!(records(shared(), &format!("?id={id}")), all[4..8]);
    assert_eq!(records(shared(), &format!("?status={status}&name=Name%20B")), all[8..]);
    assert_eq!(records(shared(), &format!("?status={status}&name=Name")), json!([]).as_array().unwrap()[..]);
    let days = records(shared(), &format!("?status={status}&from=2023-08-02&to=2023-08-03"));
    assert_eq!(days.len(), 6, "both ends belong to it");
    assert!(days.iter().all(|record| record["date"] == "2023-08-02" || record["date"] == "2023-08-03"));
    assert_eq!(records(shared(), &format!("?id={id}&from=2023-08-04")), all[7..8]);
    assert_eq!(records(shared(), &format!("?id={id}&to=20230801")), all[4..5]);
    assert!(records(shared(), &format!("?status={status}&from=2023-08-03&to=2023-08-02")).is_empty());
}

#[test]
fn pages_of_every_size_join_to_the_whole_list() {
    let status = unique("pages");
    let all = create_twelve_records(&status);
    for limit in [1, 2, 5, 11, 12, 13, 10_000] {
        let pages = all_pages(shared(), &format!("?status={status}&limit={limit}"));
        assert!(pages.iter().all(|page| page.len() <= limit), "limit {limit}");
        assert_eq!(pages.concat(), all, "limit {limit}");
    }
    let whole = shared().get(&format!("{API}/search/all?status={status}&limit=12")).expect(200);
    assert_eq!(whole.header("link"), None, "no next page where there is none");
}

#[test]
fn paging_returns_each_unchanged_record_once_during_creates() {
    let status = unique("moving");
    let all = create_twelve_records(&status);
    let first = shared().get(&format!("{API}/search/all?status={status}&limit=5")).expect(200);
    let rest = next_target(first.header("link").expect("there is more"));
    create(shared(), &record(&unique("0-before"), "n", &status, "2023-01-01")).expect(200);
    let mut listed = first.json().as_array().unwrap().clone();
    let query = &rest[rest.find('?').unwrap()..];
    listed.extend(all_pages(shared(), query).concat());
    assert_eq!(listed, all, "a record created behind the cursor is not listed; every other one is listed once");
}

#[test]
fn an_empty_parameter_is_ignored() {
    let status = unique("empty");
    let all = create_twelve_records(&status);
    assert_eq!(records(shared(), &format!("?status={status}&id=&name=&from=&to=&limit=&after=")), all);
}

#[test]
fn all_invalid_parameters_are_named() {
    let field = |query: &str| -> Vec<String> {
        let body = shared().get(&format!("{API}/search/all{query}")).expect(400).json();
        assert!(body["error"].is_string() && body["message"].is_string(), "{body}");
        let details = body["details"].as_array().unwrap_or_else(|| panic!("{query}: {body}"));
        details.iter().map(|detail| detail["field"].as_str().unwrap().to_owned()).collect()
    };
    for limit in ["0", "-1", "10001", "abc", "1.5", "99999999999999999999"] {
        assert_eq!(field(&format!("?limit={limit}")), ["limit"], "{limit}");
    }
    assert_eq!(field("?from=today"), ["from"]);
    assert_eq!(field("?to=2023-02-30"), ["to"]);
    assert_eq!(field("?limit=5&after=garbage!"), ["after"]);
    let mut all = field("?limit=0&from=x&to=y&after=%00");
    all.sort();
    assert_eq!(all, ["after", "from", "limit", "to"]);
}

#[test]
fn rows_with_unusual_values_are_readable() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    shared_postgres().sql(&database).run(
        "INSERT INTO records (id, name, status, date) VALUES
           ('bc', 'n', 's', '2023-08-01 BC'), ('far', 'n', 's', '10000-01-01'), ('farther', 'n', 's', '5874897-12-31'),
           ('inf', 'n', 's', 'infinity'), ('inf', 'n', 's', '2020-01-01'), ('minus', 'n', 's', '-infinity'),
           ('nulls', NULL, NULL, NULL), ('nulls', 'n', 's', '2020-01-01'), ('nulls', 'again', NULL, NULL),
           ('odd', E'tab\\t \"quote\"', '', '2020-01-01'), ('', 'empty id', 's', '2020-01-01');",
    );
    let all = records(&appliance, "");
    assert_eq!(all.len(), 11);
    let dates: Vec<&Value> = all.iter().map(|record| &record["date"]).collect();
    for text in ["2023-08-01 BC", "10000-01-01", "5874897-12-31", "infinity", "-infinity"] {
        assert!(dates.contains(&&json!(text)), "{text}: {dates:?}");
    }
    assert_eq!(dates.iter().filter(|date| date.is_null()).count(), 2);
    for limit in 1..=12 {
        assert_eq!(all_pages(&appliance, &format!("?limit={limit}")).concat(), all, "limit {limit}");
    }
    let one = |id: &str| appliance.get(&format!("{API}/search?id={id}")).expect(200).json();
    assert_eq!(one("bc")["date"], "2023-08-01 BC");
    assert_eq!(one("inf")["date"], "infinity", "infinity is the latest day");
    assert_eq!(one("minus")["date"], "-infinity");
    assert_eq!(one("nulls")["date"], "2020-01-01", "a known day is later than an unknown one");
    assert_eq!(one("odd")["name"], "tab\t \"quote\"");
}

#[test]
fn the_order_is_the_text_order_of_the_database() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    for id in ["é", "z", "Z", "a", "_", "~", "😀", "10", "9"] {
        create(&appliance, &record(id, "n", "s", "2023-08-01")).expect(200);
    }
    let expected = shared_postgres().sql(&database).rows("SELECT id FROM records ORDER BY id, date");
    let expected: Vec<String> = expected.into_iter().flatten().flatten().collect();
    let ids: Vec<String> =
        records(&appliance, "").iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, expected);
    let paged = all_pages(&appliance, "?limit=2").concat();
    assert_eq!(paged.iter().map(|record| record["id"].as_str().unwrap()).collect::<Vec<_>>(), expected);
}

#[test]
fn a_streamed_list_has_undated_rows_in_order() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    let sql = shared_postgres().sql(&database);
    sql.run(
        "INSERT INTO records SELECT 'e' || lpad((i / 3)::text, 6, '0'), 'row ' || i, repeat('s', 40),
           CASE WHEN i % 3 = 1 OR i BETWEEN 9000 AND 9300 THEN NULL ELSE date '2024-01-01' + i % 3 END
           FROM generate_series(1, 30000) i",
    );
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let listed: Vec<Vec<Option<String>>> =
        records(&appliance, "").iter().map(|record| [&record["id"], &record["date"]].map(text).to_vec()).collect();
    let expected = sql.rows("SELECT id, date::text FROM records ORDER BY id, date, ctid");
    assert_eq!(listed.len(), 30_000);
    assert!(listed == expected, "the order differs");
}

#[test]
fn the_number_of_concurrent_streamed_lists_is_limited() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    // More than the socket buffers hold for a client that does not read.
    shared_postgres().sql(&database).run(
        "INSERT INTO records SELECT i::text, repeat('n', 200), 's', '2024-01-01' FROM generate_series(1, 60000) i",
    );
    let list = format!("GET {API}/search/all HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut held: Vec<Connection> = (0..64)
        .map(|_| {
            let mut connection = appliance.connect();
            connection.write(list.as_bytes()).expect("the server reads");
            connection.read_head().expect("a stream begins").expect(200);
            connection
        })
        .collect();
    let rejected = appliance.get(&format!("{API}/search/all")).expect(503);
    assert!(rejected.header("retry-after").is_some());
    drop(held.pop());
    eventually("another list can be streamed", || {
        let mut connection = appliance.connect();
        connection.write(list.as_bytes()).expect("the server reads");
        (connection.read_head().expect("an answer").status == 200).then_some(())
    });
}

#[test]
fn a_forged_cursor_is_a_400_that_names_it_and_no_error_of_the_server() {
    let database = shared_postgres().create_database();
    let appliance =
        Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n").start();
    shared_postgres().sql(&database).run(
        "ALTER TABLE records ALTER COLUMN id DROP NOT NULL; INSERT INTO records VALUES ('a', 'n', 's', NULL), (NULL, 'n', 's', NULL)",
    );
    create(&appliance, &record("a", "n", "s", "2023-08-01")).expect(200);
    let ids = [
        json!(null),
        json!("a"),
        json!(""),
        json!("\u{1f600}'\";--"),
        json!("a\0"),
        json!("z".repeat(5_000)),
        json!(7),
    ];
    let days = [
        json!(null),
        json!(0),
        json!(i32::MIN),
        json!(i32::MAX),
        json!(i32::MIN + 1),
        json!(i32::MAX - 1),
        json!(-2_451_545),
        json!(-2_451_546),
        json!(2_145_031_948),
        json!(2_145_031_949),
        json!(1i64 << 40),
        json!("2023-08-01"),
    ];
    let addresses = [
        json!(null),
        json!("(0,1)"),
        json!("(4294967295,65535)"),
        json!("(4294967296,1)"),
        json!("(0,65536)"),
        json!("(+0,1)"),
        json!("(-1,1)"),
        json!("( 0,1)"),
        json!("(0,1"),
        json!(""),
        json!("(0,1)::text"),
        json!([0, 1]),
    ];
    let mut connection = appliance.connect();
    let mut accepted = 0;
    for id in &ids {
        for day in &days {
            for address in &addresses {
                let cursor = json!({"i": id, "d": day, "t": address}).to_string();
                let target = format!("{API}/search/all?limit=2&after={}", URL_SAFE_NO_PAD.encode(&cursor));
                let answer = connection.send(&Request::get(&target)).expect("an answer");
                if answer.status == 200 {
                    accepted += 1;
                    continue;
                }
                let details = answer.expect(400).json()["details"].clone();
                assert_eq!(details[0]["field"], "after", "{cursor}: {details}");
            }
        }
    }
    // Those with a valid key, and those with a valid address in place of one.
    assert!((30..200).contains(&accepted), "{accepted}");
    for forged in ["x", "%00", "bnVsbA", "W10", "e30", "====", &"A".repeat(8_000), "%ff%fe"] {
        let answer = appliance.get(&format!("{API}/search/all?after={forged}")).expect(400);
        assert_eq!(answer.json()["details"][0]["field"], "after", "{forged}");
    }
    let errors: Vec<Value> = appliance.log().into_iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors, Vec::<Value>::new());
}
