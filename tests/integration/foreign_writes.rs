//! Writes by other programs: seen by every instance, whatever the statement, and never disturbed by the triggers.

mod bursts;
mod undisturbed;

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::support::{
    API, Appliance, Change, Connection, FreshnessChecker, Postgres, RedisServer, Request, Response, Sql, TcpProxy,
    create, eventually, record, shared_postgres, unique, wait_for_cache,
};

/// A value of the cache must not expire by itself in a test, nor become invalid because the machine is busy.
const LONG_TTL: &str = "  ttl: 1h\n  timeout: 5s\n";
/// How late a write by another program may be seen at most.
const VISIBLE_AFTER: Duration = Duration::from_secs(1);

/// Instances on one database, and a session of another program.
struct Deployment {
    instances: Vec<Appliance>,
    sql: Sql,
    database: String,
    _redis: Option<RedisServer>,
}

impl Deployment {
    /// An instance that runs its own PostgreSQL.
    fn managed() -> Self {
        let config = format!("redis:\n{LONG_TTL}");
        let instance = FreshnessChecker::instance_builder().existing_cluster().config(&config).start();
        wait_for_cache(&instance);
        let sql = instance.sql();
        Self { instances: vec![instance], sql, database: "attendance_db".to_owned(), _redis: None }
    }

    /// Instances on one external PostgreSQL, with a Redis of their own each, or a shared one.
    fn external(count: usize, is_shared: bool) -> Self {
        Self::external_with(count, is_shared, |builder| builder)
    }

    fn external_with(
        count: usize,
        is_shared: bool,
        change: impl Fn(crate::support::Builder) -> crate::support::Builder,
    ) -> Self {
        let redis = is_shared.then(RedisServer::start);
        let database = shared_postgres().create_database();
        let section = redis.as_ref().map_or("redis:\n".to_owned(), RedisServer::config);
        let start = |_| {
            let builder = change(FreshnessChecker::instance_builder().postgres(shared_postgres(), &database));
            builder.config(&section).config(LONG_TTL).start()
        };
        let instances: Vec<Appliance> = (0..count).map(start).collect();
        instances.iter().for_each(wait_for_cache);
        Self { sql: shared_postgres().sql(&database), instances, database, _redis: redis }
    }

    /// Waits until every instance answers a search with that name; `None` stands for a 404.
    fn expect_name(&self, what: &str, id: &str, name: Option<&str>) {
        for instance in &self.instances {
            eventually(what, || (found_name(instance, id).as_deref() == name).then_some(()));
            let listed = || instance.get(&format!("{API}/search/all?id={id}")).expect(200).json();
            eventually(what, || {
                let listed = listed();
                (listed.as_array()?.last().and_then(|record| record["name"].as_str()) == name).then_some(())
            });
        }
    }

    /// Makes every instance cache what it has of these employees.
    fn cache(&self, ids: &[&str]) {
        for instance in &self.instances {
            for id in ids {
                for target in [format!("{API}/search?id={id}"), format!("{API}/search/all?id={id}")] {
                    eventually("a hit", || (cache_status(instance, &target) == "hit").then_some(()));
                }
            }
        }
    }
}

/// The name of an employee's latest record; `None` if there is none.
fn found_name(instance: &Appliance, id: &str) -> Option<String> {
    let answer = instance.get(&format!("{API}/search?id={id}"));
    (answer.status == 200).then(|| answer.json()["name"].as_str().unwrap_or_default().to_owned())
}

fn cache_status(instance: &Appliance, target: &str) -> String {
    let id = unique("foreign");
    instance.send(&Request::get(target).header("X-Request-Id", &id)).expect(200);
    instance.access(&id)["cache"].as_str().expect("a cache status").to_owned()
}

/// How many announcements an instance has received.
fn announcements(instance: &Appliance) -> u64 {
    let text = instance.get("/metrics").text();
    let line =
        text.lines().find(|line| line.starts_with("attendance_api_foreign_changes_total")).expect("it is counted");
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

/// Waits until an instance has received so many announcements; it must not receive more.
fn expect_announcements(instance: &Appliance, expected: u64) {
    let heard = eventually("the announcement", || Some(announcements(instance)).filter(|&heard| heard >= expected));
    assert_eq!(heard, expected);
}

/// The triggers on `records`.
fn triggers(sql: &Sql) -> String {
    sql.value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'records'::regclass AND NOT tgisinternal")
}

/// Every kind of statement, each of which is seen by every instance although both answers are cached for an hour.
fn check_every_statement(deployment: &Deployment) {
    let Deployment { instances, sql, .. } = deployment;
    let day = "2023-08-01";
    for id in ["a", "b"] {
        create(&instances[0], &record(id, "created", "s", day)).expect(200);
    }
    deployment.expect_name("the create", "a", Some("created"));
    let statements = [
        ("UPDATE records SET name = 'updated' WHERE id = 'a'", "a", Some("updated")),
        ("INSERT INTO records VALUES ('a', 'inserted', 's', '2023-08-02')", "a", Some("inserted")),
        ("DELETE FROM records WHERE id = 'a' AND date = '2023-08-02'", "a", Some("updated")),
        (
            "INSERT INTO records VALUES ('a', 'upserted', 's', '2023-08-01') ON CONFLICT (id, date) DO UPDATE SET name = excluded.name",
            "a",
            Some("upserted"),
        ),
        ("WITH gone AS (DELETE FROM records WHERE id = 'a' RETURNING 1) SELECT count(*) FROM gone", "a", None),
        (
            "COPY records (id, name, status, date) FROM PROGRAM 'printf \"a\\tcopied\\ts\\t2023-08-03\\n\"'",
            "a",
            Some("copied"),
        ),
        ("BEGIN; UPDATE records SET name = 'in a transaction' WHERE id = 'a'; COMMIT", "a", Some("in a transaction")),
        ("DO $$ BEGIN UPDATE records SET name = 'in a block' WHERE id = 'a'; END $$", "a", Some("in a block")),
        ("TRUNCATE records", "b", None),
    ];
    for (statement, id, expected) in statements {
        if found_name(&instances[0], "b").is_some() {
            deployment.cache(&["b"]);
        }
        sql.run(statement);
        deployment.expect_name(statement, id, expected);
    }
}

#[test]
fn every_statement_of_another_program_is_seen_with_the_managed_postgresql() {
    check_every_statement(&Deployment::managed());
}

#[test]
fn every_statement_of_another_program_is_seen_by_instances_with_a_redis_each() {
    check_every_statement(&Deployment::external(2, false));
}

#[test]
fn every_statement_of_another_program_is_seen_by_instances_that_share_a_redis() {
    check_every_statement(&Deployment::external(2, true));
}

/// Updates by another program: version `n` of an employee has that name.
struct Updates(Mutex<Sql>);

impl Updates {
    fn of(deployment: &Deployment) -> Self {
        Self(Mutex::new(shared_postgres().sql(&deployment.database)))
    }
}

impl Change for Updates {
    fn write(&self, _: usize, _: u32) -> Request {
        unreachable!("another program makes the change")
    }

    fn perform(&self, subject: usize, version: u32, _: &mut Connection) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).run(&format!(
            "INSERT INTO records VALUES ('f{subject}', 'version {version}', 's', '2023-08-01') \
             ON CONFLICT (id, date) DO UPDATE SET name = excluded.name"
        ));
    }

    fn visible_after(&self) -> Duration {
        VISIBLE_AFTER
    }

    fn reads(&self, subject: usize, _: u32) -> Vec<Request> {
        vec![
            Request::get(&format!("{API}/search?id=f{subject}")),
            Request::get(&format!("{API}/search/all?id=f{subject}")),
        ]
    }

    fn shows(&self, _: usize, version: u32, answer: &Response) -> bool {
        let found = answer.json();
        let latest = found.as_array().map_or(Some(&found), |records| records.last());
        answer.status == 200 && latest.is_some_and(|record| record["name"] == format!("version {version}"))
    }
}

fn assert_fresh_while(deployment: &Deployment, disturb: impl FnMut()) {
    let updates = Updates::of(deployment);
    let checker = FreshnessChecker::new(&deployment.instances).with(&updates).writes_per_writer(8);
    checker.run_while(disturb).assert_fresh();
}

fn pause() {
    thread::sleep(Duration::from_millis(100));
}

#[test]
fn no_read_misses_a_write_of_another_program_from_a_second_ago_with_a_redis_each() {
    assert_fresh_while(&Deployment::external(2, false), pause);
}

#[test]
fn no_read_misses_a_write_of_another_program_from_a_second_ago_with_a_shared_redis() {
    assert_fresh_while(&Deployment::external(2, true), pause);
}

#[test]
fn no_read_misses_a_write_from_a_second_ago_while_the_connections_that_listen_are_ended() {
    for is_shared in [false, true] {
        let deployment = Deployment::external(1, is_shared);
        assert_fresh_while(&deployment, || {
            deployment.sql.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND query LIKE 'SELECT pg_catalog.pg_backend_pid()%'",
            );
            thread::sleep(Duration::from_millis(300));
        });
    }
}

#[test]
fn no_read_misses_a_write_from_a_second_ago_while_the_connection_that_listens_stalls() {
    let proxy = TcpProxy::start(shared_postgres().port);
    let deployment = Deployment::external_with(1, false, |builder| builder.config(&listen_url(&proxy)));
    assert_fresh_while(&deployment, || {
        proxy.stall();
        thread::sleep(Duration::from_millis(1_500));
        proxy.resume();
        thread::sleep(Duration::from_millis(800));
    });
}

/// A key of the `postgres:` section.
fn listen_url(proxy: &TcpProxy) -> String {
    format!("  listen_url: postgres://127.0.0.1:{}\n", proxy.port)
}

#[test]
fn without_a_proof_for_a_second_no_cached_value_is_used() {
    let proxy = TcpProxy::start(shared_postgres().port);
    let deployment = Deployment::external_with(1, false, |builder| builder.config(&listen_url(&proxy)));
    let Deployment { instances, sql, .. } = &deployment;
    create(&instances[0], &record("a", "created", "s", "2023-08-01")).expect(200);
    deployment.cache(&["a"]);
    proxy.stall();
    let lost = "changes by other programs are not received; reads go to PostgreSQL until they are";
    let line = eventually("the loss is logged", || instances[0].logged(lost).pop());
    assert_eq!(line["level"], "INFO", "it may be a restart");
    assert!(!line["reason"].as_str().expect("a reason").is_empty());
    let lasting = "changes by other programs are still not received; reads go to PostgreSQL";
    let line = eventually("that it lasts is logged", || instances[0].logged(lasting).pop());
    assert_eq!(line["level"], "WARN");
    for version in 0..5 {
        assert_eq!(cache_status(&instances[0], &format!("{API}/search?id=a")), "bypass");
        sql.run(&format!("UPDATE records SET name = 'version {version}'"));
        assert_eq!(found_name(&instances[0], "a"), Some(format!("version {version}")), "at once");
    }
    proxy.resume();
    deployment.cache(&["a"]);
    assert_eq!(instances[0].logged("changes by other programs are received again").len(), 1);
    sql.run("UPDATE records SET name = 'heard'");
    deployment.expect_name("an update after the stall", "a", Some("heard"));
    assert_eq!(instances[0].logged(lost).len(), 1, "one line for each transition");
    assert_eq!(instances[0].logged(lasting).len(), 1, "and one if it lasts");
}

#[test]
fn a_listen_url_that_leads_to_another_database_is_noticed_and_limits_the_life_of_values() {
    let other = Postgres::start();
    let url =
        format!("  listen_url: postgres://postgres:{}@127.0.0.1:{}/postgres\n", encoded(&other.password), other.port);
    let deployment = Deployment::external_with(1, false, |builder| builder.config(&url));
    check_limited(&deployment, "did not arrive");
}

/// A password for a URL.
fn encoded(password: &str) -> String {
    password.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The log says why writes are not announced, and they are seen all the same, because values live for a second.
fn check_limited(deployment: &Deployment, reason: &str) {
    let Deployment { instances, sql, .. } = deployment;
    let line = instances[0].wait_log("the log explains it", |line| {
        line["message"]
            .as_str()
            .is_some_and(|message| message.starts_with("writes by other programs are not announced"))
    });
    assert!(line["reason"].as_str().is_some_and(|text| text.contains(reason)), "{line}");
    create(&instances[0], &record("a", "created", "s", "2023-08-01")).expect(200);
    deployment.cache(&["a"]);
    sql.run("UPDATE records SET name = 'updated'");
    deployment.expect_name("an update that is not announced", "a", Some("updated"));
}

#[test]
fn a_role_that_may_not_create_triggers_is_no_error_and_limits_the_life_of_values() {
    let database = shared_postgres().create_database();
    let sql = shared_postgres().sql(&database);
    let builder = || Appliance::builder().postgres(shared_postgres(), &database);
    drop(builder().config("  watch_foreign_writes: false\nredis: { mode: off }\n").start());
    let role = format!("{database}_app");
    sql.run(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'app-pw'; GRANT CREATE ON DATABASE {database} TO {role};
         GRANT USAGE, CREATE ON SCHEMA public, attendance_api TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, attendance_api TO {role}"
    ));
    let section = shared_postgres()
        .config(&database)
        .replace("user: postgres", &format!("user: {role}"))
        .replace(&shared_postgres().password, "app-pw");
    let instance = Appliance::builder().config(&section).config(&format!("redis:\n{LONG_TTL}")).start();
    wait_for_cache(&instance);
    let deployment = Deployment { instances: vec![instance], sql, database, _redis: None };
    check_limited(&deployment, "may not create triggers on `records`");
    assert_eq!(triggers(&deployment.sql), "0");
}

#[test]
fn the_configuration_decides_whether_the_triggers_exist() {
    let database = shared_postgres().create_database();
    let sql = shared_postgres().sql(&database);
    let start = |is_watched: bool| {
        let key = format!("  watch_foreign_writes: {is_watched}\n");
        Appliance::builder()
            .postgres(shared_postgres(), &database)
            .config(&key)
            .config("redis: { mode: off }\n")
            .start()
    };
    for is_watched in [true, true, false, false, true] {
        drop(start(is_watched));
        assert_eq!(triggers(&sql), if is_watched { "1" } else { "0" });
    }
    // A trigger of another program is not touched.
    sql.run(
        "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER other AFTER INSERT ON records EXECUTE FUNCTION other()",
    );
    let definition =
        "SELECT concat(pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE tgname = 'attendance_api_announce'
        AND tgrelid = 'records'::regclass";
    let whole = sql.value(definition);
    assert!(whole.contains("AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE"), "{whole}");
    let call = "EXECUTE FUNCTION attendance_api.announce_change_of_records()";
    let always = "ALTER TABLE records ENABLE ALWAYS TRIGGER attendance_api_announce";
    for change in [
        "DROP TRIGGER attendance_api_announce ON records".to_owned(),
        "ALTER TABLE records DISABLE TRIGGER attendance_api_announce".to_owned(),
        "ALTER TABLE records ENABLE REPLICA TRIGGER attendance_api_announce".to_owned(),
        "ALTER TRIGGER attendance_api_announce ON records RENAME TO announce".to_owned(),
        format!(
            "CREATE OR REPLACE TRIGGER attendance_api_announce AFTER INSERT OR UPDATE OR DELETE ON records {call}; {always}"
        ),
        format!(
            "CREATE OR REPLACE TRIGGER attendance_api_announce BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON records {call}; {always}"
        ),
        format!(
            "CREATE OR REPLACE TRIGGER attendance_api_announce AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON records EXECUTE FUNCTION other(); {always}"
        ),
        "DROP FUNCTION attendance_api.announce_change_of_records() CASCADE".to_owned(),
        "COMMENT ON FUNCTION attendance_api.announce_change_of_records() IS 'another version'".to_owned(),
    ] {
        sql.run(&change);
        drop(start(true));
        assert_eq!((triggers(&sql).as_str(), sql.value(definition)), ("2", whole.clone()), "after {change}");
    }
    drop(start(false));
    assert_eq!(triggers(&sql), "1");
}

#[test]
fn triggers_that_are_dropped_while_an_instance_runs_are_noticed() {
    let deployment = Deployment::external(1, false);
    let Deployment { instances, sql, .. } = &deployment;
    create(&instances[0], &record("a", "created", "s", "2023-08-01")).expect(200);
    deployment.cache(&["a"]);
    sql.run("DROP TRIGGER attendance_api_announce ON records");
    instances[0].wait_log("the loss is logged", |line| {
        line["reason"].as_str().is_some_and(|reason| reason.contains("triggers") && reason.contains("restart"))
    });
    sql.run("UPDATE records SET name = 'updated'");
    deployment.expect_name("an update without its trigger", "a", Some("updated"));
    eventually("the cache is not used", || {
        (cache_status(&instances[0], &format!("{API}/search?id=a")) == "bypass").then_some(())
    });
}

#[test]
fn own_creates_end_no_other_generation() {
    for deployment in [Deployment::managed(), Deployment::external(1, false), Deployment::external(1, true)] {
        let instance = &deployment.instances[0];
        create(instance, &record("a", "created", "s", "2023-08-01")).expect(200);
        deployment.cache(&["a"]);
        let before = announcements(instance);
        create(instance, &record("b", "created", "s", "2023-08-01")).expect(200);
        // A write by another program is announced after that of the create.
        assert_eq!(cache_status(instance, &format!("{API}/search?id=a")), "hit");
        deployment.sql.run("UPDATE records SET name = 'updated'");
        deployment.expect_name("the update", "a", Some("updated"));
        expect_announcements(instance, before + 1);
    }
}

#[test]
fn a_create_through_one_instance_is_seen_by_another_with_a_redis_of_its_own() {
    let deployment = Deployment::external(2, false);
    for day in 1..=9 {
        let (creator, name) = (&deployment.instances[day % 2], format!("day {day}"));
        create(creator, &record("a", &name, "s", &format!("2023-08-{day:02}"))).expect(200);
        assert_eq!(found_name(creator, "a").as_deref(), Some(name.as_str()), "at once by itself");
        deployment.expect_name("the create", "a", Some(&name));
        deployment.cache(&["a"]);
    }
}

/// A correction, the deletion and the erasure of one employee's record of 1 August 2023, in turn, after a create.
fn changes(id: &str) -> [(Request, u16, Option<&'static str>); 4] {
    let path = format!("{API}/records/{id}/2023-08-01");
    let body = serde_json::json!({"name": "corrected", "status": "s", "reason": "r"}).to_string();
    let created = record(id, "created", "s", "2023-08-02").to_string();
    [
        (Request::new("PUT", &path).header("Content-Type", "application/json").body(body), 200, Some("corrected")),
        (Request::new("DELETE", &format!("{path}?reason=r")), 204, None),
        (Request::post_json(&format!("{API}/create"), created), 200, Some("created")),
        (Request::new("DELETE", &format!("{API}/employees/{id}/data?reason=r")), 200, None),
    ]
}

#[test]
fn own_changes_of_records_end_no_other_generation() {
    let shares_sessions = std::env::var("INTEGRATION_POOLER").is_ok_and(|mode| mode == "transaction");
    for (deployment, names_creates_only) in
        [(Deployment::managed(), false), (Deployment::external(1, false), shares_sessions)]
    {
        let instance = &deployment.instances[0];
        create(instance, &record("kept", "n", "s", "2023-08-01")).expect(200);
        create(instance, &record("1", "n", "s", "2023-08-01")).expect(200);
        deployment.cache(&["kept"]);
        // In sessions that are shared, creates alone say whose they are; other changes empty the cache.
        let is_tried = |name: Option<&str>| !names_creates_only || name == Some("created");
        for (request, status, name) in changes("1").into_iter().filter(|(_, _, name)| is_tried(*name)) {
            instance.send(&request).expect(status);
            deployment.expect_name("its own change", "1", name);
            // On a busy machine the proof that announcements arrive may be late, and then no answer of the cache is used.
            eventually("the kept answer is used", || {
                let status = cache_status(instance, &format!("{API}/search?id=kept"));
                assert_ne!(status, "miss", "the generation of another employee has ended");
                (status == "hit").then_some(())
            });
        }
        assert_eq!(announcements(instance), 0);
    }
}

#[test]
fn changes_through_one_instance_are_seen_by_another_with_a_redis_of_its_own() {
    let deployment = Deployment::external(2, false);
    create(&deployment.instances[0], &record("1", "n", "s", "2023-08-01")).expect(200);
    for (position, (request, status, name)) in changes("1").into_iter().enumerate() {
        deployment.expect_name(
            "the state before",
            "1",
            [Some("n"), Some("corrected"), None, Some("created")][position],
        );
        deployment.instances[0].send(&request).expect(status);
        deployment.expect_name("the change", "1", name);
    }
}

#[test]
fn a_transaction_that_rolls_back_is_not_announced() {
    let deployment = Deployment::external(1, false);
    let Deployment { instances, sql, .. } = &deployment;
    create(&instances[0], &record("a", "created", "s", "2023-08-01")).expect(200);
    let before = announcements(&instances[0]);
    sql.run("BEGIN; UPDATE records SET name = 'undone'; DELETE FROM records; ROLLBACK");
    sql.run("UPDATE records SET name = 'updated'");
    deployment.expect_name("the update", "a", Some("updated"));
    expect_announcements(&instances[0], before + 1);
}
