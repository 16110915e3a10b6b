//! An employee reads its own records only: each reading endpoint with each role, compared with the result of SQL.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::accounts::{Protected, bearing};
use crate::support::{API, Appliance, Request, Response, Sql, shared_postgres};

struct Fixture {
    protected: Protected,
    sql: Sql,
}

/// The employees of the fixture: ids that sort around each other, with characters that have a meaning elsewhere.
const EMPLOYEES: [&str; 5] = ["1", "10", "2", "a/b c", "ü=1:1"];
const DAYS: [&str; 3] = ["2023-08-01", "2023-08-02", "2023-09-15"];

// The connection belongs to one thread at a time.
fn with_fixture(test: impl FnOnce(&Protected, &Sql)) {
    static FIXTURE: OnceLock<std::sync::Mutex<Fixture>> = OnceLock::new();
    let fixture = FIXTURE.get_or_init(|| {
        let database = shared_postgres().create_database();
        let builder = Appliance::builder().postgres(shared_postgres(), &database);
        let protected = Protected::with(builder, "");
        let sql = shared_postgres().sql(&database);
        for (number, id) in EMPLOYEES.iter().enumerate() {
            sql.run(&format!("INSERT INTO employees (id, name, department) VALUES ('{id}', 'name {id}', 'd{}')", number % 2));
            for (position, day) in DAYS.iter().enumerate() {
                let status = ["Present", "Absent", "Leave"][(number + position) % 3];
                sql.run(&format!(
                    "INSERT INTO records (id, name, status, date) VALUES ('{id}', 'name {id}', '{status}', '{day}'); \
                     INSERT INTO record_changes (id, date, action, reason, actor, address) VALUES ('{id}', '{day}', 'corrected', 'r', 'x', '192.0.2.7')"
                ));
            }
        }
        // In a table that another program has made, rows may lack an employee or a day.
        sql.run("ALTER TABLE records ALTER COLUMN id DROP NOT NULL, ALTER COLUMN date DROP NOT NULL");
        sql.run("INSERT INTO records (id, name, status, date) VALUES (NULL, 'nobody', 'Present', '2023-08-01'), ('1', 'name 1', 'Late', NULL)");
        sql.run("INSERT INTO calendar_days (date, kind, name) VALUES ('2023-08-02', 'holiday', 'Day')");
        std::sync::Mutex::new(Fixture { protected, sql })
    });
    let fixture = fixture.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    test(&fixture.protected, &fixture.sql);
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Each employee, as the one who reads, and none for a reader of all.
fn readers(protected: &Protected) -> Vec<(Option<&'static str>, String)> {
    let employees = EMPLOYEES.map(|id| (Some(id), protected.token("employee", id)));
    let others = ["reader", "writer", "manager", "admin"].map(|role| (None, protected.token(role, "")));
    employees.into_iter().chain(others).collect()
}

fn read(protected: &Protected, token: &str, target: &str) -> Response {
    protected.appliance.send(&bearing(Request::get(&format!("{API}/{target}")), token))
}

/// All pages of a list.
fn pages(protected: &Protected, token: &str, target: &str) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), format!("{API}/{target}"));
    loop {
        let answer = protected.appliance.send(&bearing(Request::get(&next), token)).expect(200);
        items.extend(answer.json().as_array().expect("a list").iter().cloned());
        match answer.header("link") {
            Some(link) => next = link.split(['<', '>']).nth(1).expect("a link has a target").to_owned(),
            None => return items,
        }
    }
}

/// A condition on the employee in a column.
fn visible(reader: Option<&str>, column: &str) -> String {
    reader.map_or_else(|| "true".to_owned(), |id| format!("{column} IS NOT DISTINCT FROM '{id}'"))
}

fn rows(sql: &Sql, query: &str) -> Vec<Vec<String>> {
    sql.rows(query).into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect()
}

fn members(items: &[Value], names: &[&str]) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    items.iter().map(|item| names.iter().map(|name| text(&item[*name])).collect()).collect()
}

#[test]
fn lists_have_the_records_that_sql_has() {
    with_fixture(|protected, sql| {
        for (reader, token) in readers(protected) {
            for filter in
                ["", "status=Present", "from=2023-08-02", "to=2023-08-01", "id=1", "id=2", "id=none", "name=name%201"]
            {
                let condition = match filter.split_once('=') {
                    None => "true".to_owned(),
                    Some(("from", day)) => format!("date >= '{day}'"),
                    Some(("to", day)) => format!("date <= '{day}'"),
                    Some((column, value)) => format!("{column} = '{}'", value.replace("%20", " ")),
                };
                let select = format!(
                    "SELECT id, name, status FROM records WHERE {condition} AND {} ORDER BY id, date, ctid",
                    visible(reader, "id")
                );
                let expected = rows(sql, &select);
                for paging in ["", "limit=1", "limit=2", "limit=10000"] {
                    let found = pages(protected, &token, &format!("search/all?{filter}&{paging}"));
                    assert_eq!(members(&found, &["id", "name", "status"]), expected, "{reader:?} {filter} {paging}");
                }
                let select = format!(
                    "SELECT id, name, status FROM records WHERE id IS NOT NULL AND date IS NOT NULL AND {condition} AND {} ORDER BY id, date",
                    visible(reader, "id")
                );
                let expected = rows(sql, &select);
                for paging in ["limit=1000", "limit=1", "limit=2"] {
                    let found = pages(protected, &token, &format!("records?{filter}&{paging}"));
                    assert_eq!(members(&found, &["id", "name", "status"]), expected, "{reader:?} {filter} {paging}");
                    let found: BTreeSet<_> = members(
                        &pages(protected, &token, &format!("records?order=created&{filter}&{paging}")),
                        &["id", "name", "status"],
                    )
                    .into_iter()
                    .collect();
                    assert_eq!(found, expected.iter().cloned().collect(), "{reader:?} created {filter} {paging}");
                }
            }
        }
    });
}

#[test]
fn the_addresses_of_a_history_are_for_managers() {
    with_fixture(|protected, _| {
        for (role, is_shown) in
            [("employee", false), ("reader", false), ("writer", false), ("manager", true), ("admin", true)]
        {
            let employee = if role == "employee" { EMPLOYEES[0] } else { "" };
            let target = format!("records/{}/2023-08-02/history", encoded(EMPLOYEES[0]));
            let history = read(protected, &protected.token(role, employee), &target).expect(200);
            assert_eq!(history.text().contains("192.0.2.7"), is_shown, "{role}: {}", history.text());
        }
    });
}

#[test]
fn one_record_and_its_history_are_found_by_their_employee_and_by_readers() {
    with_fixture(|protected, sql| {
        for (reader, token) in readers(protected) {
            for id in EMPLOYEES {
                let is_visible = reader.is_none_or(|reader| reader == id);
                let status = if is_visible { 200 } else { 404 };
                let path = encoded(id);
                for target in [
                    format!("search?id={path}"),
                    format!("search?id={path}&date=2023-08-02"),
                    format!("records?id={path}&date=2023-08-02"),
                    format!("records/{path}/2023-08-02"),
                ] {
                    // The second answer comes from the cache.
                    for _ in 0..2 {
                        let answer = read(protected, &token, &target).expect(status);
                        if is_visible {
                            assert_eq!(answer.json()["id"], id, "{reader:?} {target}");
                        } else {
                            let absent = read(protected, &protected.admin, "search?id=no-such-employee").expect(404);
                            assert_eq!(answer.body, absent.body, "another employee's record looks like none");
                        }
                    }
                }
                let history = read(protected, &token, &format!("records/{path}/2023-08-02/history")).expect(status);
                if is_visible {
                    let count = sql.value(&format!(
                        "SELECT count(*) + 1 FROM record_changes WHERE id = '{id}' AND date = '2023-08-02'"
                    ));
                    assert_eq!(history.json().as_array().unwrap().len().to_string(), count);
                }
            }
        }
    });
}

#[test]
fn sheets_and_summaries_count_what_sql_counts() {
    with_fixture(|protected, sql| {
        for (reader, token) in readers(protected) {
            for filter in
                ["", "&department=d0", "&department=d1", "&status=Present", "&id=1", "&id=a%2Fb%20c", "&id=none"]
            {
                let condition = match filter.trim_start_matches('&').split_once('=') {
                    None => "true".to_owned(),
                    Some(("department", name)) => {
                        format!("EXISTS (SELECT FROM employees AS e WHERE e.id = r.id AND e.department = '{name}')")
                    }
                    Some((column, value)) => {
                        format!("r.{column} = '{}'", value.replace("%2F", "/").replace("%20", " "))
                    }
                };
                let condition = format!("{condition} AND {}", visible(reader, "r.id"));
                let select = format!(
                    "SELECT r.id FROM records AS r WHERE r.date BETWEEN '2023-08-01' AND '2023-08-31' AND {condition} AND r.id IS NOT NULL GROUP BY r.id ORDER BY r.id"
                );
                let expected: Vec<String> = rows(sql, &select).into_iter().flatten().collect();
                // Without a status, who is in the directory is on the sheet, too: these are the same employees here.
                let mut found = Vec::new();
                let mut next = format!("sheet?from=2023-08-01&to=2023-08-31{filter}&limit=2");
                loop {
                    let answer = read(protected, &token, &next).expect(200);
                    let page = answer.json();
                    found.extend(
                        page["employees"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()),
                    );
                    match answer.header("link") {
                        Some(link) => {
                            next = link
                                .split(['<', '>'])
                                .nth(1)
                                .unwrap()
                                .trim_start_matches(API)
                                .trim_start_matches('/')
                                .to_owned()
                        }
                        None => break,
                    }
                }
                assert_eq!(found, expected, "{reader:?} sheet {filter}");
                for by in ["day", "week", "month", "employee", "department", "status"] {
                    let answer = read(protected, &token, &format!("summary?by={by}{filter}")).expect(200).json();
                    let total: i64 =
                        answer["groups"].as_array().unwrap().iter().map(|group| group["total"].as_i64().unwrap()).sum();
                    let expected = sql.value(&format!("SELECT count(*) FROM records AS r WHERE {condition}"));
                    assert_eq!(total.to_string(), expected, "{reader:?} summary by {by} {filter}: {answer}");
                    let names = answer.to_string();
                    for other in
                        EMPLOYEES.into_iter().filter(|id| by == "employee" && reader.is_some_and(|own| own != *id))
                    {
                        assert!(!names.contains(&format!("\"key\":{}", Value::from(other))), "{reader:?}: {names}");
                    }
                }
            }
        }
    });
}

#[test]
fn the_directory_and_the_changes_are_not_for_employees_and_the_calendar_is_for_all() {
    with_fixture(|protected, sql| {
        for (reader, token) in readers(protected) {
            let status = if reader.is_some() { 403 } else { 200 };
            read(protected, &token, "employees").expect(status);
            read(protected, &token, "employees/1").expect(status);
            let calendar = read(protected, &token, "calendar").expect(200).json();
            let days = sql.value("SELECT count(*) FROM calendar_days");
            assert_eq!(calendar.as_array().unwrap().len().to_string(), days);
        }
        for (role, status) in [("reader", 403), ("writer", 403), ("manager", 200), ("admin", 200)] {
            let answer = read(protected, &protected.token(role, ""), "changes").expect(status);
            assert_eq!(answer.text().contains("192.0.2.7"), status == 200);
        }
    });
}

#[test]
fn an_employee_account_without_an_employee_sees_nothing() {
    with_fixture(|protected, _| {
        let account = protected.account("reader", None);
        let session =
            crate::support::accounts::log_in(&protected.appliance, &account, crate::support::accounts::PASSWORD);
        let session = session.expect(200).json()["token"].as_str().unwrap().to_owned();
        let demote =
            Request::new("PATCH", &format!("{API}/accounts/{account}")).header("Content-Type", "application/json");
        for unlinked in [r#"{"role":"employee"}"#, r#"{"role":"employee","employee_id":null}"#] {
            protected.as_admin(demote.clone().body(unlinked)).expect(409);
        }
        protected.as_admin(demote.clone().body(r#"{"role":"employee","employee_id":"2"}"#)).expect(200);
        protected.as_admin(demote.body(r#"{"employee_id":null}"#)).expect(409);
        let found = pages(protected, &session, "search/all");
        assert!(!found.is_empty() && found.iter().all(|record| record["id"] == "2"), "{found:?}");
    });
}

#[test]
fn a_cursor_of_another_caller_shows_nothing_of_it() {
    with_fixture(|protected, _| {
        let employee = protected.token("employee", "10");
        for list in ["search/all?limit=1", "records?limit=1", "records?order=created&limit=1"] {
            let first = read(protected, &protected.admin, list).expect(200);
            let link = first.header("link").expect("there is more").split(['<', '>']).nth(1).unwrap().to_owned();
            let mut next = link;
            loop {
                let answer = protected.appliance.send(&bearing(Request::get(&next), &employee)).expect(200);
                for record in answer.json().as_array().unwrap() {
                    assert_eq!(record["id"], "10", "{list}");
                }
                match answer.header("link") {
                    Some(link) => next = link.split(['<', '>']).nth(1).unwrap().to_owned(),
                    None => break,
                }
            }
        }
    });
}
