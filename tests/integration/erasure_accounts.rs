//! The erasure of a person who has accounts: their links, sessions, tokens and entries of the audit no longer name it, and nothing more is permitted by that.

use serde_json::{Value, json};

use crate::erasure::{ID, NAME, REASON, dump, expires, names_person};
use crate::support::accounts::{PASSWORD, Protected, bearing, begin_session, log_in, make_token, message};
use crate::support::{API, Appliance, RedisServer, Request, Response, record, shared_postgres, wait_for_cache};

fn patch(protected: &Protected, name: &str, body: &Value) -> Response {
    let request = Request::new("PATCH", &format!("{API}/accounts/{name}")).header("Content-Type", "application/json");
    protected.as_admin(request.body(body.to_string()))
}

fn session(protected: &Protected, name: &str) -> String {
    begin_session(&protected.appliance, name, PASSWORD)
}

/// A token whose name is that of the person.
fn named_token(protected: &Protected, session: &str, role: &str) -> String {
    let body = json!({"name": format!("phone of {NAME}"), "role": role}).to_string();
    let made = protected.appliance.send(&bearing(Request::post_json(&format!("{API}/tokens"), body), session));
    made.expect(201).json()["token"].as_str().expect("a token is text").to_owned()
}

fn erasure(id: &str) -> Request {
    Request::new("DELETE", &format!("{API}/employees/{id}/data?reason={REASON}")).header("X-Request-Id", "erasure")
}

fn calendar(appliance: &Appliance, credential: &str) -> u16 {
    appliance.send(&bearing(Request::get(&format!("{API}/calendar")), credential)).status
}

#[test]
fn with_access_control_an_erasure_reaches_accounts_and_the_audit() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let config = format!("{}  ttl: 1s\n", redis.config());
    let builder = Appliance::builder().postgres(shared_postgres(), &database);
    let protected = Protected::with(builder, &format!("|{config}"));
    let second = format!("auth: {{ mode: required }}\n{}{config}", shared_postgres().config(&database));
    let other = Appliance::builder().config(&second).start();
    let sql = shared_postgres().sql(&database);
    for instance in [&protected.appliance, &other] {
        wait_for_cache(instance);
    }
    for (id, name) in [(ID, NAME), ("other", "Other")] {
        let body = record(id, name, "Present", "2026-01-01").to_string();
        protected.as_admin(Request::post_json(&format!("{API}/create"), body)).expect(200);
    }

    // An employee, a manager with a token that reads as the employee, and an account that was linked earlier.
    let employee = protected.account("employee", Some(ID));
    let manager = protected.account("manager", Some(ID));
    let moved = protected.account("employee", Some(ID));
    let sessions = [session(&protected, &employee), session(&protected, &manager)];
    let kept = session(&protected, &moved);
    patch(&protected, &moved, &json!({"employee_id": "other"})).expect(200);
    let tokens = [
        named_token(&protected, &sessions[0], "employee"),
        named_token(&protected, &sessions[1], "manager"),
        make_token(&protected.appliance, &sessions[1], "employee"),
    ];
    let ended: Vec<&String> = sessions.iter().chain(&tokens).collect();
    for credential in &ended {
        assert_eq!([&protected.appliance, &other].map(|instance| calendar(instance, credential)), [200, 200]);
    }
    let before = dump(&sql);
    assert!(
        before.contains("attendance_api.accounts") && before.contains("attendance_api.audit") && names_person(&before)
    );

    let lines_before = protected.appliance.stdout_lines().len();
    let counts = protected.as_admin(erasure(ID)).expect(200).json();
    assert_eq!(counts, json!({"records": 1, "changes": 0, "employees": 0, "accounts": 2}));
    for credential in &ended {
        assert_eq!([&protected.appliance, &other].map(|instance| calendar(instance, credential)), [401, 401]);
    }
    assert_eq!(calendar(&other, &kept), 200, "an account that is linked to another person is not affected");
    let line = protected.appliance.access("erasure");
    assert_eq!(line["request"], format!("DELETE {API}/employees/{{id}}/data HTTP/1.1"));
    assert!(!protected.appliance.stdout_lines()[lines_before..].iter().any(|line| names_person(line)));

    let after = dump(&sql);
    assert!(!names_person(&after), "{after}");
    let audit = protected.as_admin(Request::get(&format!("{API}/audit?limit=1000"))).expect(200).json();
    let audit = audit.as_array().unwrap();
    assert!(!names_person(&json!(audit).to_string()), "{audit:?}");
    let of = |action: &str, account: &str| -> Vec<&Value> {
        audit.iter().filter(|entry| entry["action"] == action && entry["account"] == *account).collect()
    };
    let mark = json!({"erased": true});
    for account in [&employee, &manager] {
        assert_eq!(of("account_disabled", account)[0]["by"], "root", "{audit:?}");
        assert_eq!(of("account_created", account)[0]["details"]["employee_id"], mark);
        assert_eq!(of("account_changed", account)[0]["details"]["employee_id"], json!({"before": mark, "after": null}));
        assert_eq!(of("token_created", account).last().unwrap()["details"]["name"], mark);
    }
    assert_eq!(of("account_changed", &moved)[0]["details"]["employee_id"], json!({"before": mark, "after": "other"}));
    assert_eq!(audit.iter().filter(|entry| entry["action"] == "person_erased").count(), 1);
    expires(&redis);

    // The accounts remain, are disabled, and permit nothing until an admin gives them something to read.
    log_in(&protected.appliance, &employee, PASSWORD).expect(401);
    let refused = patch(&protected, &employee, &json!({"disabled": false})).expect(409);
    assert!(refused.text().contains("employee_id"), "{}", refused.text());
    patch(&protected, &employee, &json!({"password": "another passphrase of it"})).expect(200);
    patch(&protected, &employee, &json!({"employee_id": "other", "disabled": false})).expect(200);
    patch(&protected, &manager, &json!({"disabled": false})).expect(200);
    let manager = session(&protected, &manager);
    assert_eq!(calendar(&protected.appliance, &manager), 200);
}

#[test]
fn no_statement_makes_an_account_that_would_read_everything() {
    let database = shared_postgres().create_database();
    let protected = Protected::with(Appliance::builder().postgres(shared_postgres(), &database), "");
    let (sql, name) = (shared_postgres().sql(&database), protected.account("employee", Some("7")));
    for change in ["employee = NULL", "employee = ''", "employee = NULL, disabled = false"] {
        let statement = format!("UPDATE attendance_api.accounts SET {change} WHERE username = '{name}'");
        let error = sql.try_run(&statement).expect_err(change);
        assert!(error.contains("check constraint"), "{change}: {error}");
    }
}

#[test]
fn an_erasure_leaves_the_last_admin_who_can_log_in() {
    let protected = Protected::start("");
    patch(&protected, "root", &json!({"employee_id": ID})).expect(200);
    let counts = protected.as_admin(erasure(ID)).expect(200).json();
    assert_eq!(counts["accounts"], 1);
    let own = protected.as_admin(Request::get(&format!("{API}/session"))).expect(200).json();
    assert_eq!((&own["role"], &own["employee_id"]), (&"admin".into(), &Value::Null));
    // With another admin, the account is disabled like every other one.
    let second = protected.account("admin", None);
    patch(&protected, "root", &json!({"employee_id": ID})).expect(200);
    protected.as_admin(erasure(ID)).expect(200);
    protected.as_admin(Request::get(&format!("{API}/session"))).expect(401);
    session(&protected, &second);
}

/// The managed PostgreSQL, whose requests have a role that may not change the audit.
#[test]
fn without_access_control_an_erasure_reaches_the_accounts_that_exist() {
    let appliance = Appliance::builder().existing_cluster().start();
    let sql = appliance.sql();
    sql.run(&format!(
        "WITH account AS (INSERT INTO attendance_api.accounts (username, password_hash, role, employee) \
            VALUES ('a', 'x', 'employee', '{ID}'), ('b', 'x', 'admin', NULL) RETURNING id, employee) \
         INSERT INTO attendance_api.audit (action, account, details) \
            SELECT 'account_created', id, jsonb_build_object('role', 'x', 'employee_id', employee) FROM account"
    ));
    assert!(names_person(&dump(&sql)));
    let counts = appliance.send(&erasure(ID)).expect(200).json();
    assert_eq!(counts, json!({"records": 0, "changes": 0, "employees": 0, "accounts": 1}));
    let after = dump(&sql);
    assert!(!names_person(&after) && after.contains("account_disabled"), "{after}");
    assert_eq!(sql.value("SELECT disabled FROM attendance_api.accounts WHERE username = 'a'"), "t");
    assert_eq!(appliance.send(&erasure(ID)).expect(200).json()["accounts"], 0);
}

/// A token keeps its role when its account loses its employee.
#[test]
fn a_token_with_the_role_employee_reads_nothing_when_its_account_has_no_employee() {
    let protected = Protected::start("");
    let body = record("2", "Two", "Present", "2026-01-01").to_string();
    protected.as_admin(Request::post_json(&format!("{API}/create"), body)).expect(200);
    let manager = protected.account("manager", None);
    let own = session(&protected, &manager);
    let body = json!({"name": "t", "role": "employee"}).to_string();
    let refused =
        protected.appliance.send(&bearing(Request::post_json(&format!("{API}/tokens"), body), &own)).expect(409);
    assert!(refused.text().contains("linked to an employee"), "{}", refused.text());

    patch(&protected, &manager, &json!({"employee_id": "2"})).expect(200);
    let token = make_token(&protected.appliance, &own, "employee");
    let get = |target: &str| protected.appliance.send(&bearing(Request::get(&format!("{API}/{target}")), &token));
    get("search?id=2").expect(200);
    patch(&protected, &manager, &json!({"employee_id": null})).expect(200);
    for target in [
        "search?id=2",
        "search?id=",
        "search/all",
        "records",
        "sheet?from=2026-01-01&to=2026-01-02",
        "summary?by=day",
        "calendar",
    ] {
        let refused = get(target).expect(403);
        assert!(message(&refused).contains("linked to none"), "{target}: {}", refused.text());
    }
    get("session").expect(200);
    patch(&protected, &manager, &json!({"employee_id": "2"})).expect(200);
    get("search?id=2").expect(200);
}
