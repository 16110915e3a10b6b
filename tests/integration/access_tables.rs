//! What the tables of access control guarantee by themselves, and what the counts of failed logins do.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;

use crate::support::accounts::{PASSWORD, Protected, bearing, begin_session, login};
use crate::support::{API, Appliance, Connection, Request, Response, Sql, eventually, shared_postgres, within};

/// Less than the life of a cached credential, so that what ends it is the announcement.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(10);

/// An appliance on a database of its own, and a connection to that.
fn protected() -> (Protected, Sql) {
    let database = shared_postgres().create_database();
    let protected = Protected::with(Appliance::builder().postgres(shared_postgres(), &database), "");
    (protected, shared_postgres().sql(&database))
}

fn log_in_from(protected: &Protected, last: u8, name: &str, password: &str) -> Response {
    let source = Ipv4Addr::new(127, 0, 0, last);
    let mut connection = Connection::open_from(source, protected.appliance.address()).expect("it listens");
    connection.send(&login(name, password)).expect("it answers")
}

fn id_of(sql: &Sql, name: &str) -> String {
    sql.value(&format!("SELECT id FROM attendance_api.accounts WHERE username = '{name}'"))
}

#[test]
fn no_role_changes_the_audit() {
    let (protected, sql) = protected();
    let _ = protected.account("reader", None);
    let entries: u32 = sql.value("SELECT count(*) FROM attendance_api.audit").parse().unwrap();
    assert!(entries > 2, "{entries}");
    for statement in [
        "UPDATE attendance_api.audit SET action = 'x'",
        "DELETE FROM attendance_api.audit",
        "TRUNCATE attendance_api.audit",
        "UPDATE attendance_api.audit SET details = '{}' WHERE details <> '{}'",
        "UPDATE attendance_api.audit SET details = details || '{\"role\": {\"erased\": true}}'",
        "UPDATE attendance_api.audit SET details = jsonb_set(details, '{employee_id}', '\"8\"') WHERE details ? 'employee_id'",
        "UPDATE attendance_api.audit SET at = now() - interval '31 days'",
        "SET session_replication_role = replica; DELETE FROM attendance_api.audit",
    ] {
        let error = sql.try_run(statement).expect_err(statement);
        assert!(error.contains("cannot be changed"), "{statement}: {error}");
    }
    assert_eq!(sql.value("SELECT attendance_api.remove_audit(0, 1000)"), "0", "every entry is young");
    assert_eq!(sql.value("SELECT count(*) FROM attendance_api.audit"), entries.to_string());
}

#[test]
fn entries_of_the_audit_end_after_the_time_that_is_set() {
    let database = shared_postgres().create_database();
    let builder = || Appliance::builder().postgres(shared_postgres(), &database);
    builder().start().stop();
    let sql = shared_postgres().sql(&database);
    // More than one statement removes, and those that are kept.
    sql.run(
        "INSERT INTO attendance_api.audit (at, action) SELECT now() - interval '41 days', 'login' FROM generate_series(1, 20) \
         UNION ALL SELECT now() - interval '39 days', 'logout' UNION ALL SELECT now() - interval '50 days', 'settings_changed'",
    );
    let left = || {
        sql.value(
            "SELECT string_agg(action, ' ' ORDER BY id) FROM attendance_api.audit WHERE at < now() - interval '1 day'",
        )
    };
    let removed = sql.value("SELECT attendance_api.remove_audit(40 * 86400, 7)");
    assert_eq!(
        (&*removed, &*sql.value("SELECT count(*) FROM attendance_api.audit WHERE action = 'login'")),
        ("7", "13")
    );
    let protected = Protected::with(builder(), ", audit_keep: 40d|");
    // The start has written newer settings, so that those of the last one may go as well.
    eventually("old entries are removed", || (left() == "logout").then_some(()));
    assert_eq!(sql.value("SELECT attendance_api.remove_audit(0, 1000)"), "1", "the last old one");
    sql.run("INSERT INTO attendance_api.audit (at, action) VALUES (now() - interval '50 days', 'settings_changed')");
    assert_eq!(sql.value("SELECT attendance_api.remove_audit(0, 1000)"), "0", "the newest settings stay");
    protected.appliance.get("/livez").expect(200);
    let refused = builder().config("auth: { mode: required, audit_keep: 29d }\n").finish().expect(78);
    assert!(refused.stderr.contains("30d to 36500d"), "{}", refused.stderr);
}

#[test]
fn a_session_that_another_program_deletes_ends() {
    let (protected, sql) = protected();
    let calendar = |credential: &str| {
        let target = format!("{API}/calendar?from=2023-01-01&to=2023-01-02");
        protected.appliance.send(&bearing(Request::get(&target), credential)).status
    };
    for statement in [
        "DELETE FROM attendance_api.sessions WHERE account = $",
        "TRUNCATE attendance_api.sessions",
        "UPDATE attendance_api.accounts SET disabled = true WHERE id = $",
        "UPDATE attendance_api.sessions SET expires_at = now() WHERE account = $",
        "DELETE FROM attendance_api.accounts WHERE id = $",
    ] {
        let name = protected.account("reader", None);
        let session = begin_session(&protected.appliance, &name, PASSWORD);
        assert_eq!(calendar(&session), 200);
        sql.run(&statement.replace('$', &id_of(&sql, &name)));
        within(ANNOUNCED_WITHIN, statement, || (calendar(&session) == 401).then_some(()));
        if statement.starts_with("TRUNCATE") {
            return_admin(&protected, &sql);
        }
    }
}

/// The admin of the harness gets a session of the key that it had.
fn return_admin(protected: &Protected, sql: &Sql) {
    let key: String = sha256(&protected.admin);
    sql.run(&format!(
        "INSERT INTO attendance_api.sessions (key, account, expires_at, address) \
         SELECT '{key}', id, now() + interval '1 hour', '127.0.0.1' FROM attendance_api.accounts WHERE username = 'root'"
    ));
}

fn sha256(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_session_ends_when_it_is_idle_and_at_its_latest_end() {
    let (protected, sql) = protected();
    for change in ["last_seen = now() - interval '31 minutes'", "created_at = now() - interval '12 hours 1 second'"] {
        let name = protected.account("reader", None);
        let session = begin_session(&protected.appliance, &name, PASSWORD);
        let read = || protected.appliance.send(&bearing(Request::get(&format!("{API}/session")), &session)).status;
        sql.run(&format!("UPDATE attendance_api.sessions SET {change} WHERE account = {}", id_of(&sql, &name)));
        // The change of `last_seen` alone is announced by no trigger, because uses are not: a cached entry ends by itself.
        sql.run("NOTIFY attendance_api_access, '*'");
        within(ANNOUNCED_WITHIN, change, || (read() == 401).then_some(()));
        let other = begin_session(&protected.appliance, &name, PASSWORD);
        let listed = protected.appliance.send(&bearing(Request::get(&format!("{API}/sessions")), &other)).expect(200);
        assert_eq!(listed.json().as_array().unwrap().len(), 1, "{change}: {}", listed.text());
    }
}

#[test]
fn the_last_use_is_written_once_a_minute() {
    let (protected, sql) = protected();
    let token = protected.token("reader", "");
    let read = || protected.appliance.send(&bearing(Request::get(&format!("{API}/session")), &token)).expect(200);
    let last_used = || sql.rows("SELECT last_used::text FROM attendance_api.tokens").remove(0).remove(0);
    assert_eq!(last_used(), None);
    read();
    let first = eventually("the use is written", last_used);
    for _ in 0..20 {
        read();
    }
    sql.run("UPDATE attendance_api.tokens SET last_used = now() - interval '50 seconds'");
    let earlier = last_used();
    sql.run("NOTIFY attendance_api_access, '*'");
    read();
    assert_ne!(earlier, Some(first));
    sql.run("UPDATE attendance_api.tokens SET last_used = now() - interval '61 seconds'");
    let old = last_used();
    eventually("the use of a later minute is written", || {
        sql.run("NOTIFY attendance_api_access, '*'");
        read();
        (last_used() != old).then_some(())
    });
}

#[test]
fn the_wait_doubles_from_the_third_failure_and_a_login_resets_it() {
    let (protected, sql) = protected();
    let name = protected.account("reader", None);
    let counts = |network: &str| -> (String, String) {
        let row = sql.rows(&format!(
            "SELECT max(failures)::text, coalesce(round(extract(epoch FROM max(blocked_until - last_failure)))::text, '-') \
             FROM attendance_api.login_failures WHERE subject = {} AND network = '{network}'",
            id_of(&sql, &name)
        ));
        (row[0][0].clone().unwrap_or_default(), row[0][1].clone().unwrap_or_default())
    };
    for (failures, wait) in [("1", "-"), ("2", "-"), ("3", "1"), ("4", "2"), ("5", "4")] {
        eventually("the wait is over", || match log_in_from(&protected, 3, &name, "a wrong passphrase").status {
            401 => Some(()),
            429 => None,
            status => panic!("{status}"),
        });
        assert_eq!(counts("127.0.0.3"), (failures.to_owned(), wait.to_owned()));
    }
    // What the process has in memory is in the database, too.
    let refused = log_in_from(&protected, 3, &name, PASSWORD).expect(429);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() <= 4);
    for _ in 0..20 {
        log_in_from(&protected, 3, &name, PASSWORD);
    }
    let noted = "SELECT count(*) FROM attendance_api.audit WHERE action = 'login_throttled' AND address = '127.0.0.3'";
    assert_eq!(sql.value(noted), "1");
    eventually("the wait is over", || (log_in_from(&protected, 3, &name, PASSWORD).status == 200).then_some(()));
    assert_eq!(counts("127.0.0.3").0, "");
    assert_eq!(sql.value("SELECT count(*) FROM attendance_api.login_failures WHERE network = '127.0.0.3'"), "0");
}

#[test]
fn no_wait_is_longer_than_a_quarter_of_an_hour() {
    let (protected, sql) = protected();
    let name = protected.account("reader", None);
    let id = id_of(&sql, &name);
    sql.run(&format!(
        "INSERT INTO attendance_api.login_failures \
         SELECT subject, '127.0.0.8', 1000000, now(), now() FROM unnest(ARRAY[0, {id}]) AS subject"
    ));
    log_in_from(&protected, 8, &name, "a wrong passphrase").expect(401);
    let waits = "SELECT string_agg(round(extract(epoch FROM blocked_until - last_failure))::text, ' ') \
        FROM attendance_api.login_failures WHERE network = '127.0.0.8'";
    assert_eq!(sql.value(waits), "900 900");
    let refused = log_in_from(&protected, 8, &name, PASSWORD).expect(429);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() <= 900);
}

#[test]
fn guessing_from_many_networks_slows_down_only_networks_that_the_account_does_not_know() {
    let (protected, sql) = protected();
    let name = protected.account("reader", None);
    log_in_from(&protected, 5, &name, PASSWORD).expect(200);
    sql.run(&format!(
        "INSERT INTO attendance_api.login_failures VALUES ({}, '*', 60, now(), now() + interval '1 hour')",
        id_of(&sql, &name)
    ));
    log_in_from(&protected, 6, &name, PASSWORD).expect(429);
    log_in_from(&protected, 5, &name, PASSWORD).expect(200);
    assert_eq!(sql.value("SELECT count(*) FROM attendance_api.login_failures"), "0", "a login resets the count");
    log_in_from(&protected, 6, &name, PASSWORD).expect(200);
}

#[test]
fn a_start_forgets_each_count_of_failed_logins_that_is_a_day_old() {
    let database = shared_postgres().create_database();
    let builder = || Appliance::builder().postgres(shared_postgres(), &database);
    builder().start().stop();
    let sql = shared_postgres().sql(&database);
    // More than one statement removes, and one that is kept.
    sql.run(
        "INSERT INTO attendance_api.login_failures (subject, network, failures, last_failure) \
         SELECT -n, '192.0.2.1', 1, now() - interval '25 hours' FROM generate_series(1, 2500) AS n \
         UNION ALL SELECT -3000, '192.0.2.1', 1, now()",
    );
    let protected = Protected::with(builder(), "");
    let count = "SELECT count(*) FROM attendance_api.login_failures WHERE network = '192.0.2.1'";
    eventually("old counts are forgotten", || (sql.value(count) == "1").then_some(()));
    protected.appliance.get("/livez").expect(200);
}

#[test]
fn names_without_an_account_are_counted_and_not_stored() {
    let (protected, sql) = protected();
    for _ in 0..3 {
        log_in_from(&protected, 7, "a-secret-that-was-typed-as-a-name", "a wrong passphrase").expect(401);
    }
    log_in_from(&protected, 7, "a-secret-that-was-typed-as-a-name", "a wrong passphrase").expect(429);
    assert_eq!(
        sql.value("SELECT count(*) FROM attendance_api.login_failures WHERE subject < 0 AND network = '127.0.0.7'"),
        "1"
    );
    for table in ["login_failures", "audit", "login_networks"] {
        assert_eq!(
            sql.value(&format!("SELECT count(*) FROM attendance_api.{table} AS t WHERE t::text LIKE '%secret%'")),
            "0"
        );
    }
}

#[test]
fn two_admins_who_demote_each_other_at_once_leave_one() {
    let (protected, sql) = protected();
    let (one, other) = (protected.account("admin", None), protected.account("admin", None));
    protected
        .as_admin(
            Request::new("PATCH", &format!("{API}/accounts/root"))
                .header("Content-Type", "application/json")
                .body(json!({"role": "manager"}).to_string()),
        )
        .expect(200);
    for round in 0..10 {
        sql.run(&format!("UPDATE attendance_api.accounts SET role = 'admin' WHERE username IN ('{one}', '{other}')"));
        let sessions: Vec<String> =
            [&one, &other].into_iter().map(|name| begin_session(&protected.appliance, name, PASSWORD)).collect();
        let demote = |session: &String, name: &String| {
            let request =
                Request::new("PATCH", &format!("{API}/accounts/{name}")).header("Content-Type", "application/json");
            protected.appliance.send(&bearing(request.body(json!({"role": "reader"}).to_string()), session)).status
        };
        let statuses = std::thread::scope(|scope| {
            let first = scope.spawn(|| demote(&sessions[0], &other));
            let second = scope.spawn(|| demote(&sessions[1], &one));
            [first.join().unwrap(), second.join().unwrap()]
        });
        assert_eq!(
            sql.value("SELECT count(*) FROM attendance_api.accounts WHERE role = 'admin'"),
            "1",
            "{round}: {statuses:?}"
        );
    }
}

#[test]
fn an_earlier_database_gets_the_tables() {
    let database = shared_postgres().create_database();
    let builder = || Appliance::builder().postgres(shared_postgres(), &database);
    builder().start().stop();
    let sql = shared_postgres().sql(&database);
    sql.run(
        "DROP TABLE attendance_api.sessions, attendance_api.tokens, attendance_api.login_networks, attendance_api.accounts, \
            attendance_api.login_failures, attendance_api.access_key, attendance_api.audit; \
         DROP FUNCTION attendance_api.announce_credential, attendance_api.announce_account, attendance_api.announce_truncation, \
            attendance_api.guard_audit, attendance_api.redact_audit, attendance_api.remove_audit, attendance_api.erase_accounts; \
         DELETE FROM attendance_api.refinery_schema_history WHERE version = 2",
    );
    let protected = Protected::with(builder(), "");
    protected.as_admin(Request::get(&format!("{API}/accounts"))).expect(200);
}
