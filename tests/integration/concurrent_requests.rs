//! Requests that share a statement: each has an outcome of its own.

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};

use crate::support::{API, Appliance, Response, Sql, record, shared_postgres, unique};

fn served(statements: &str) -> (Appliance, Sql) {
    let database = shared_postgres().create_database();
    let appliance =
        Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n").start();
    let sql = shared_postgres().sql(&database);
    sql.run(statements);
    (appliance, sql)
}

/// All at once; the answers in their order.
fn at_once<T: Sync>(items: &[T], send: impl Fn(&T) -> Response + Sync) -> Vec<Response> {
    thread::scope(|scope| {
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(|| send(item))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn create(appliance: &Appliance, record: &Value) -> Response {
    appliance.post(&format!("{API}/create"), &record.to_string())
}

#[test]
fn of_equal_creates_exactly_one_is_stored() {
    let (appliance, _sql) = served("");
    let records: Vec<Value> = (0..60).map(|n| record("same", &format!("n{n}"), "s", "2024-01-01")).collect();
    let mut seen = BTreeMap::new();
    let answers = at_once(&records, |record| create(&appliance, record));
    for answer in &answers {
        *seen.entry(answer.status).or_insert(0) += 1;
    }
    assert_eq!(seen, BTreeMap::from([(200, 1), (409, 59)]));
    let stored = answers.iter().position(|answer| answer.status == 200).unwrap();
    let found = appliance.get(&format!("{API}/search?id=same")).expect(200).json();
    assert_eq!(found["name"], format!("n{stored}"), "the one that was told so is the one that is stored");
}

#[test]
fn one_that_the_table_forbids_fails_alone() {
    let (appliance, sql) = served("ALTER TABLE records ADD CONSTRAINT no_bad CHECK (name <> 'bad')");
    for round in 0..5 {
        let name = |n: i32| if n == 17 { "bad" } else { "good" };
        let records: Vec<Value> =
            (0..50).map(|n| record(&format!("r{round}-{n}"), name(n), "s", "2024-01-01")).collect();
        for (n, answer) in at_once(&records, |record| create(&appliance, record)).iter().enumerate() {
            let good = if n == 17 { (400..500).contains(&answer.status) } else { answer.status == 200 };
            assert!(good, "record {n}: {}", answer.status);
        }
    }
    assert_eq!(sql.value("SELECT count(*) FROM records"), "245");
}

#[test]
fn each_reader_gets_its_own_record() {
    let (appliance, _sql) = served(
        "INSERT INTO records SELECT 'e' || i, 'name ' || i, 's', '2024-01-01'::date + d FROM generate_series(0, 39) i, generate_series(0, 2) d;
         INSERT INTO records VALUES ('undated', 'u', 's', NULL)",
    );
    let asked: Vec<(String, Value)> = (0..40)
        .flat_map(|n| {
            let of =
                |day: &str| json!({"id": format!("e{n}"), "name": format!("name {n}"), "status": "s", "date": day});
            [
                (format!("{API}/search?id=e{n}"), of("2024-01-03")),
                (format!("{API}/search?id=e{n}&date=2024-01-02"), of("2024-01-02")),
                (format!("{API}/search?id={}", unique("nobody")), Value::Null),
            ]
        })
        .chain([(
            format!("{API}/search?id=undated"),
            json!({"id": "undated", "name": "u", "status": "s", "date": null}),
        )])
        .collect();
    let answers = at_once(&asked, |(target, _)| appliance.get(target));
    for ((target, expected), answer) in asked.iter().zip(&answers) {
        let status = if expected.is_null() { 404 } else { 200 };
        assert_eq!(answer.status, status, "{target}");
        if !expected.is_null() {
            assert_eq!(answer.json(), *expected, "{target}");
        }
    }
}
