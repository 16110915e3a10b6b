//! Concurrent requests that are batched into one statement: each has its own outcome.

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};

use crate::support::{API, Appliance, Response, Sql, record, shared_postgres, unique};

fn appliance_with(statements: &str) -> (Appliance, Sql) {
    let database = shared_postgres().create_database();
    let appliance =
        Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n").start();
    let sql = shared_postgres().sql(&database);
    sql.run(statements);
    (appliance, sql)
}

/// Sends one request for each item, all at the same time; returns the answers in the order of the items.
fn send_concurrently<T: Sync>(items: &[T], send: impl Fn(&T) -> Response + Sync) -> Vec<Response> {
    thread::scope(|scope| {
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(|| send(item))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn create(appliance: &Appliance, record: &Value) -> Response {
    appliance.post(&format!("{API}/create"), &record.to_string())
}

#[test]
fn exactly_one_of_equal_concurrent_creates_is_stored() {
    let (appliance, _sql) = appliance_with("");
    let records: Vec<Value> = (0..60).map(|n| record("same", &format!("n{n}"), "s", "2024-01-01")).collect();
    let mut seen = BTreeMap::new();
    let answers = send_concurrently(&records, |record| create(&appliance, record));
    for answer in &answers {
        *seen.entry(answer.status).or_insert(0) += 1;
    }
    assert_eq!(seen, BTreeMap::from([(200, 1), (409, 59)]));
    let stored = answers.iter().position(|answer| answer.status == 200).unwrap();
    let found = appliance.get(&format!("{API}/search?id=same")).expect(200).json();
    assert_eq!(found["name"], format!("n{stored}"), "the record that was acknowledged is the stored one");
}

#[test]
fn a_create_that_violates_a_constraint_does_not_fail_the_others() {
    let (appliance, sql) = appliance_with("ALTER TABLE records ADD CONSTRAINT no_bad CHECK (name <> 'bad')");
    for round in 0..5 {
        let name = |n: i32| if n == 17 { "bad" } else { "good" };
        let records: Vec<Value> =
            (0..50).map(|n| record(&format!("r{round}-{n}"), name(n), "s", "2024-01-01")).collect();
        for (n, answer) in send_concurrently(&records, |record| create(&appliance, record)).iter().enumerate() {
            let good = if n == 17 { (400..500).contains(&answer.status) } else { answer.status == 200 };
            assert!(good, "record {n}: {}", answer.status);
        }
    }
    assert_eq!(sql.value("SELECT count(*) FROM records"), "245");
}

#[test]
fn each_reader_gets_its_own_record() {
    let (appliance, _sql) = appliance_with(
        "INSERT INTO records SELECT 'e' || i, 'name ' || i, 's', '2024-01-01'::date + d FROM generate_series(0, 39) i, generate_series(0, 2) d;
         INSERT INTO records VALUES ('undated', 'u', 's', NULL)",
    );
    let requests: Vec<(String, Value)> = (0..40)
        .flat_map(|n| {
            let of =
                |day: &str| json!({"id": format!("e{n}"), "name": format!("name {n}"), "status": "s", "date": day});
            [
                (format!("{API}/search?id=e{n}"), of("2024-01-03")),
                (format!("{API}/search?id=e{n}&date=2024-01-02"), of("2024-01-02")),
                (format!("{API}/search?id={}", unique("unknown")), Value::Null),
            ]
        })
        .chain([(
            format!("{API}/search?id=undated"),
            json!({"id": "undated", "name": "u", "status": "s", "date": null}),
        )])
        .collect();
    let answers = send_concurrently(&requests, |(target, _)| appliance.get(target));
    for ((target, expected), answer) in requests.iter().zip(&answers) {
        let status = if expected.is_null() { 404 } else { 200 };
        assert_eq!(answer.status, status, "{target}");
        if !expected.is_null() {
            assert_eq!(answer.json(), *expected, "{target}");
        }
    }
}
