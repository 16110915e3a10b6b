//! Freshness of views: a read that starts after a change of records, directory or calendar was acknowledged shows it, through each
//! instance and cache, also while all kinds of changes happen at the same time.

use serde_json::{Value, json};

use crate::support::{
    API, Appliance, Change, FreshnessChecker, RedisServer, Request, Response, create, eventually, record,
    shared_postgres, wait_for_cache,
};

fn put(target: &str, body: &Value) -> Request {
    Request::new("PUT", &format!("{API}{target}")).header("Content-Type", "application/json").body(body.to_string())
}

/// The directory: version `n` of an employee has the name `version n`; multiples of three are removed instead.
struct DirectoryChanges;

impl Change for DirectoryChanges {
    fn write(&self, subject: usize, version: u32) -> Request {
        put(
            &format!("/employees/d{subject}"),
            &json!({"name": format!("version {version}"), "department": format!("d{subject}")}),
        )
    }

    fn perform(&self, subject: usize, version: u32, connection: &mut crate::support::Connection) {
        let request = match version % 3 {
            0 => Request::new("DELETE", &format!("{API}/employees/d{subject}")),
            _ => self.write(subject, version),
        };
        let answer = connection.send(&request).expect("the write is answered");
        assert!([200, 201, 204].contains(&answer.status), "{} {}", answer.status, answer.text());
    }

    fn reads(&self, subject: usize, _acknowledged: u32) -> Vec<Request> {
        vec![
            Request::get(&format!("{API}/employees?department=d{subject}")),
            Request::get(&format!("{API}/sheet?from=2026-01-05&to=2026-01-06&department=d{subject}")),
            Request::get(&format!("{API}/sheet?from=2026-01-05&to=2026-01-06&id=d{subject}")),
        ]
    }

    fn shows(&self, _subject: usize, version: u32, answer: &Response) -> bool {
        let found = answer.json();
        let list = found.as_array().or_else(|| found["employees"].as_array());
        let name = list.and_then(|list| list.first()).map(|employee| employee["name"].clone());
        // Nothing was written before version 1.
        let expected = if version.is_multiple_of(3) { None } else { Some(json!(format!("version {version}"))) };
        answer.status == 200 && name == expected
    }
}

/// The calendar: version `n` of a day has the name `version n`; multiples of three are removed instead.
struct CalendarChanges;

impl CalendarChanges {
    fn day(subject: usize) -> String {
        format!("2026-03-{:02}", subject + 1)
    }
}

impl Change for CalendarChanges {
    fn write(&self, subject: usize, version: u32) -> Request {
        let kind = if version.is_multiple_of(2) { "holiday" } else { "workday" };
        put(&format!("/calendar/{}", Self::day(subject)), &json!({"kind": kind, "name": format!("version {version}")}))
    }

    fn perform(&self, subject: usize, version: u32, connection: &mut crate::support::Connection) {
        let request = match version % 3 {
            0 => Request::new("DELETE", &format!("{API}/calendar/{}", Self::day(subject))),
            _ => self.write(subject, version),
        };
        let answer = connection.send(&request).expect("the write is answered");
        assert!([200, 201, 204].contains(&answer.status), "{} {}", answer.status, answer.text());
    }

    fn reads(&self, subject: usize, _acknowledged: u32) -> Vec<Request> {
        let day = Self::day(subject);
        vec![
            Request::get(&format!("{API}/calendar?from={day}&to={day}")),
            Request::get(&format!("{API}/sheet?from={day}&to={day}&id=none")),
        ]
    }

    fn shows(&self, _subject: usize, version: u32, answer: &Response) -> bool {
        let found = answer.json();
        let list = found.as_array().or_else(|| found["days"].as_array());
        let name = list.and_then(|list| list.first()).map_or(Value::Null, |day| day["name"].clone());
        let expected = if version.is_multiple_of(3) { Value::Null } else { json!(format!("version {version}")) };
        answer.status == 200 && name == expected
    }
}

/// Creates, seen in views: version `n` of an employee is its record of the day `n`.
struct CreatesInViews;

impl Change for CreatesInViews {
    fn write(&self, subject: usize, version: u32) -> Request {
        let date = format!("{:04}-{:02}-{:02}", 2000 + version / 336, version % 336 / 28 + 1, version % 28 + 1);
        let body = record(&format!("v{subject}"), "n", "Present", &date);
        Request::post_json(&format!("{API}/create"), body.to_string())
    }

    fn reads(&self, subject: usize, _acknowledged: u32) -> Vec<Request> {
        let summary = |by: &str| Request::get(&format!("{API}/summary?by={by}&id=v{subject}"));
        vec![
            summary("employee"),
            summary("status"),
            Request::get(&format!("{API}/sheet?from=2000-01-01&to=2000-12-31&id=v{subject}")),
        ]
    }

    fn shows(&self, _subject: usize, version: u32, answer: &Response) -> bool {
        let found = answer.json();
        let count = match found["groups"].as_array() {
            Some(groups) => groups.first().map_or(0, |group| group["total"].as_u64().unwrap_or_default()),
            None => found["employees"][0]["totals"]["Present"].as_u64().unwrap_or_default(),
        };
        answer.status == 200 && count == u64::from(version)
    }
}

fn check(instances: &[Appliance]) {
    let checker = FreshnessChecker::new(instances).with(&DirectoryChanges).with(&CalendarChanges).with(&CreatesInViews);
    checker.run().assert_fresh();
}

#[test]
fn no_view_is_stale_with_the_built_in_redis() {
    let appliance = FreshnessChecker::instance_builder().existing_cluster().start();
    wait_for_cache(&appliance);
    check(&[appliance]);
}

#[test]
fn no_view_is_stale_with_two_instances_that_share_a_redis() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let start = |_| {
        let builder = FreshnessChecker::instance_builder().postgres(shared_postgres(), &database);
        builder.config(&redis.config()).start()
    };
    let instances: Vec<Appliance> = (0..2).map(start).collect();
    instances.iter().for_each(wait_for_cache);
    check(&instances);
}

/// Changes by other programs are seen soon, also by an instance whose cache has the answer.
#[test]
fn changes_of_directory_and_calendar_by_other_programs_are_seen() {
    let database = shared_postgres().create_database();
    let appliance =
        Appliance::builder().postgres(shared_postgres(), &database).config("redis: { ttl: 3600 }\n").start();
    wait_for_cache(&appliance);
    create(&appliance, &record("1", "n", "Present", "2026-01-05")).expect(200);
    let sql = shared_postgres().sql(&database);
    let sheet = || appliance.get(&format!("{API}/sheet?from=2026-01-05&to=2026-01-06")).expect(200).json();
    for (statement, pointer, expected) in [
        ("INSERT INTO employees (id, name) VALUES ('1', 'Asha')", "/employees/0/name", json!("Asha")),
        ("UPDATE employees SET department = 'Sales'", "/employees/0/department", json!("Sales")),
        ("DELETE FROM employees", "/employees/0/name", json!("n")),
        ("INSERT INTO calendar_days VALUES ('2026-01-06', 'holiday', 'Epiphany')", "/days/1/kind", json!("holiday")),
        ("UPDATE calendar_days SET name = 'x'", "/days/1/name", json!("x")),
        ("TRUNCATE calendar_days", "/days/1/kind", json!("workday")),
    ] {
        // The answer is in the cache, where it would stay for an hour.
        eventually("the answer is cached", || (sheet() == sheet()).then_some(()));
        assert_ne!(sheet().pointer(pointer), Some(&expected), "{statement}");
        sql.run(statement);
        eventually(statement, || (sheet().pointer(pointer) == Some(&expected)).then_some(()));
    }
}
