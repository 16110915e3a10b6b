//! The erasure of a person: nothing that is stored or logged afterwards names it.

use crate::support::{
    API, Appliance, RedisServer, Request, Sql, create, eventually, record, records, shared_postgres, wait_for_cache,
};

/// Texts that belong to the person alone.
pub(crate) const ID: &str = "zq-person";
pub(crate) const NAME: &str = "Zqname";
pub(crate) const REASON: &str = "zqreason";

fn correct(appliance: &Appliance, id: &str, status: &str, reason: &str) {
    let body = serde_json::json!({"name": NAME, "status": status, "reason": reason});
    let request = Request::new("PUT", &format!("{API}/records/{id}/2026-01-01"));
    appliance.send(&request.header("Content-Type", "application/json").body(body.to_string())).expect(200);
}

fn erase(appliance: &Appliance, id: &str) -> serde_json::Value {
    let target = format!("{API}/employees/{id}/data?reason={REASON}");
    appliance.send(&Request::new("DELETE", &target).header("X-Request-Id", "erasure")).expect(200).json()
}

/// A person with records, a history and a row in the directory, and another one with a record.
fn fill(appliance: &Appliance, sql: &Sql) {
    sql.run(&format!("INSERT INTO employees (id, name, department) VALUES ('{ID}', '{NAME}', 'd')"));
    for day in 1..=4 {
        create(appliance, &record(ID, NAME, "Present", &format!("2026-01-{day:02}"))).expect(200);
    }
    create(appliance, &record("other", "Other", "Present", "2026-01-01")).expect(200);
    correct(appliance, ID, "Absent", REASON);
    correct(appliance, ID, "Half Day", REASON);
    let delete = Request::new("DELETE", &format!("{API}/records/{ID}/2026-01-02?reason={REASON}"));
    appliance.send(&delete).expect(204);
}

/// Everything in a database, as text.
pub(crate) fn dump(sql: &Sql) -> String {
    // Each row of each table, as JSON.
    let tables = sql.rows("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')");
    let rows = tables.into_iter().flatten().flatten().flat_map(|table| {
        let rows = sql.rows(&format!("SELECT '{table} ' || to_jsonb(r)::text FROM {table} AS r"));
        rows.into_iter().flatten().flatten().collect::<Vec<String>>()
    });
    rows.collect::<Vec<String>>().join("\n")
}

pub(crate) fn names_person(text: &str) -> bool {
    [ID, NAME, REASON].iter().any(|word| text.contains(word))
}

#[test]
fn an_erasure_leaves_nothing_that_names_the_person() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let ttl = "ATTENDANCE_API__REDIS__TTL";
    let appliance =
        Appliance::builder().postgres(shared_postgres(), &database).config(&redis.config()).env(ttl, "1s").start();
    wait_for_cache(&appliance);
    fill(&appliance, &shared_postgres().sql(&database));
    let sql = shared_postgres().sql(&database);
    assert!(names_person(&dump(&sql)));
    for target in [format!("search?id={ID}"), "search/all".to_owned(), "records".to_owned(), "changes".to_owned()] {
        assert!(names_person(&appliance.get(&format!("{API}/{target}")).expect(200).text()), "{target}");
    }
    let lines_before = appliance.stdout_lines().len();
    let counts = erase(&appliance, ID);
    assert_eq!(counts, serde_json::json!({"records": 3, "changes": 3, "employees": 1, "accounts": 0}));
    let line = appliance.access("erasure");
    assert_eq!(line["request"], format!("DELETE {API}/employees/{{id}}/data HTTP/1.1"));

    let dump = dump(&sql);
    assert!(!names_person(&dump), "{dump}");
    assert!(dump.contains("\"erased\"") && dump.contains("Other"), "{dump}");
    appliance.get(&format!("{API}/search?id={ID}")).expect(404);
    appliance.get(&format!("{API}/records/{ID}/2026-01-02/history")).expect(404);
    for target in ["search/all", "records", "records?order=created", "changes", "employees"] {
        let answer = appliance.get(&format!("{API}/{target}")).expect(200).text();
        assert!(!names_person(&answer), "{target}: {answer}");
    }
    assert_eq!(records(&appliance, "").len(), 1, "others are not affected");
    // The log until the requests of this test that name the person themselves.
    let log = appliance.stdout_lines();
    let named: Vec<&String> = log[lines_before..].iter().filter(|line| names_person(line)).collect();
    assert!(named.iter().all(|line| line.contains("\"GET ")), "{named:?}");
    expires(&redis);
}

/// Waits until Redis has nothing that names the person.
pub(crate) fn expires(redis: &RedisServer) {
    eventually("what Redis has of the person expires", || {
        let keys = redis.keys("*");
        // A key may expire meanwhile, and some are no texts.
        let value = |key: &String| redis.try_command::<Vec<u8>>(&["GET", key]).unwrap_or_default();
        let is_named = |key: &String| names_person(key) || names_person(&String::from_utf8_lossy(&value(key)));
        (!keys.iter().any(is_named)).then_some(())
    });
}

#[test]
fn an_erasure_can_be_repeated_and_the_id_used_again() {
    let appliance = Appliance::builder().existing_cluster().start();
    fill(&appliance, &appliance.sql());
    assert_eq!(erase(&appliance, ID)["records"], 3);
    let nothing = serde_json::json!({"records": 0, "changes": 0, "employees": 0, "accounts": 0});
    assert_eq!(erase(&appliance, ID), nothing);
    assert_eq!(appliance.sql().value("SELECT count(*) FROM record_changes"), "1", "nothing was erased the second time");
    create(&appliance, &record(ID, NAME, "Present", "2026-01-01")).expect(200);
    let history = appliance.get(&format!("{API}/records/{ID}/2026-01-01/history")).expect(200).json();
    assert_eq!(history.as_array().unwrap().len(), 1);
    create(&appliance, &record("a/b", NAME, "Present", "2026-01-01")).expect(200);
    assert_eq!(erase(&appliance, "a%2Fb")["records"], 1);
    let missing = appliance.send(&Request::new("DELETE", &format!("{API}/employees/other/data"))).expect(400).text();
    assert!(missing.contains("\"reason\""), "{missing}");
    for wrong in ["GET", "POST", "PUT"] {
        let refused = appliance.send(&Request::new(wrong, &format!("{API}/employees/other/data"))).expect(405);
        assert_eq!(refused.header("allow"), Some("DELETE, OPTIONS"));
    }
    assert_eq!(records(&appliance, "?id=other").len(), 1);
}

/// Corrections that are in progress must not write an entry after the history was erased.
#[test]
fn an_erasure_during_corrections_leaves_no_entry_of_them() {
    let appliance = Appliance::builder().existing_cluster().start();
    for round in 0..20 {
        let id = format!("person{round}");
        create(&appliance, &record(&id, NAME, "0", "2026-01-01")).expect(200);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (appliance, id) = (&appliance, &id);
                scope.spawn(move || {
                    let mut connection = appliance.connect();
                    for step in 0..10 {
                        let body =
                            serde_json::json!({"name": NAME, "status": format!("{writer}.{step}"), "reason": "r"});
                        let request = Request::new("PUT", &format!("{API}/records/{id}/2026-01-01"));
                        let request = request.header("Content-Type", "application/json").body(body.to_string());
                        let answer = connection.send(&request).expect("the correction is answered");
                        assert!([200, 404].contains(&answer.status), "{}", answer.text());
                    }
                });
            }
            erase(&appliance, &id);
        });
        let left = "SELECT (SELECT count(*) FROM records WHERE id LIKE 'person%') + (SELECT count(*) FROM record_changes WHERE id IS NOT NULL)";
        assert_eq!(appliance.sql().value(left), "0");
    }
}
