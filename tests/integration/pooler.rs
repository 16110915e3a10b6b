//! PgBouncer between the appliance and PostgreSQL, with far fewer server connections than clients.

use std::thread;

use serde_json::{Value, json};

use crate::support::{
    API, Appliance, Builder, Connection, PgBouncer, PoolMode, Postgres, Request, Sql, create, eventually, record,
    shared_postgres, wait_for_cache,
};

/// Server connections of the pooler: fewer than the appliance's pool has.
const POOL_SIZE: usize = 3;
const CLIENTS: usize = 64;
/// Days that each client creates and reads.
const DAYS: usize = 12;
const MODES: [PoolMode; 2] = [PoolMode::Session, PoolMode::Transaction];
const WITHOUT_REDIS: &str = "redis: { mode: off }\n";

/// A pooler on the shared server, and a new database.
fn pooler(mode: PoolMode) -> (PgBouncer, String) {
    (PgBouncer::start(shared_postgres(), mode, POOL_SIZE), shared_postgres().create_database())
}

fn appliance_behind(pooler: &PgBouncer, database: &str, keys: &str) -> Builder {
    Appliance::builder().config(&pooler.config(database)).config(keys)
}

fn send(connection: &mut Connection, request: &Request) -> (u16, Value) {
    let answer = connection.send(request).expect("every request is answered");
    (answer.status, answer.json())
}

/// One client: every kind of statement, on records of its own. Each answer must be that of its own statement.
fn work(appliance: &Appliance, client: usize) {
    let mut connection = appliance.connect();
    let (id, status) = (format!("e{client}"), format!("status {client}"));
    let mut created: Vec<Value> = Vec::new();
    for day in 1..=DAYS {
        let date = format!("2024-03-{day:02}");
        let new = record(&id, &format!("name {client} {day}"), &status, &date);
        let request = Request::post_json(&format!("{API}/create"), new.to_string());
        assert_eq!(send(&mut connection, &request).0, 200, "{new}");
        assert_eq!(send(&mut connection, &request).0, 409, "{new}");
        created.push(new);
        let listed = json!(created);
        let newest_page: Vec<&Value> = created.iter().take(2).collect();
        let reads = [
            (format!("/search?id={id}"), created.last().cloned()),
            (format!("/search?id={id}&date=2024-03-01"), created.first().cloned()),
            (format!("/search?id=unknown-{client}"), None),
            (format!("/search/all?id={id}"), Some(listed.clone())),
            (format!("/search/all?status=status%20{client}&from=2024-03-01"), Some(listed.clone())),
            (format!("/search/all?id={id}&to=2024-02-28"), Some(json!([]))),
            (format!("/search/all?id={id}&limit=2"), Some(json!(newest_page))),
        ];
        for (target, expected) in reads {
            let (code, body) = send(&mut connection, &Request::get(&format!("{API}{target}")));
            match expected {
                Some(expected) => assert_eq!((code, body), (200, expected), "{target}"),
                None => assert_eq!(code, 404, "{target}"),
            }
        }
    }
}

fn check_mixed_load(appliance: &Appliance) {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || work(appliance, client))).collect();
        let failed = clients.into_iter().map(thread::ScopedJoinHandle::join).filter(Result::is_err).count();
        assert_eq!(failed, 0, "clients of {CLIENTS} that got a wrong answer");
    });
    let all = appliance.get(&format!("{API}/search/all")).expect(200).json();
    assert_eq!(all.as_array().expect("a list").len(), CLIENTS * DAYS);
}

/// What a session of the database keeps, in words; none if it keeps nothing.
fn kept_by(session: &Sql) -> Vec<String> {
    let queries = [
        ("prepared statements", "SELECT string_agg(name, ' ') FROM pg_prepared_statements"),
        ("channels", "SELECT string_agg(channel, ' ') FROM pg_listening_channels() AS channel"),
        ("locks", "SELECT string_agg(mode, ' ') FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'"),
        (
            "settings",
            "SELECT string_agg(name || '=' || setting, ' ') FROM pg_settings WHERE source = 'session' AND name IN \
             ('statement_timeout', 'search_path', 'idle_in_transaction_session_timeout', 'synchronous_commit')",
        ),
    ];
    let found = queries.into_iter().map(|(what, query)| (what, session.value(query)));
    found.filter(|(_, value)| !value.is_empty()).map(|(what, value)| format!("{what}: {value}")).collect()
}

#[test]
fn every_request_of_a_mixed_load_gets_its_own_answer() {
    for mode in MODES {
        let (pooler, database) = pooler(mode);
        check_mixed_load(&appliance_behind(&pooler, &database, WITHOUT_REDIS).start());
    }
}

#[test]
fn every_request_gets_its_own_answer_if_the_configuration_names_the_mode() {
    let (pooler, database) = pooler(PoolMode::Transaction);
    let keys = format!("  pooler: transaction\n{WITHOUT_REDIS}");
    check_mixed_load(&appliance_behind(&pooler, &database, &keys).start());
}

/// Two processes count their prepared statements from the same number.
#[test]
fn no_instance_runs_the_statement_of_another() {
    let (pooler, database) = pooler(PoolMode::Transaction);
    let start = || appliance_behind(&pooler, &database, WITHOUT_REDIS).start();
    let instances = [start(), start()];
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let instance = &instances[client % 2];
            scope.spawn(move || work(instance, client));
        }
    });
}

/// A configuration that is wrong: the appliance finds out by itself, and no record is lost or wrong.
#[test]
fn a_pooler_that_is_said_to_be_none_is_found_out_by_its_errors() {
    let (pooler, database) = pooler(PoolMode::Transaction);
    let keys = format!("  pooler: session\n{WITHOUT_REDIS}");
    let instances = [(); 2].map(|()| appliance_behind(&pooler, &database, &keys).start());
    let warned = |instance: &Appliance| {
        let warning = |line: &Value| line.to_string().contains("set postgres.pooler: transaction");
        instance.log().iter().any(warning)
    };
    for instance in &instances {
        eventually("it notices", || {
            thread::scope(|scope| {
                for client in 0..8 {
                    scope.spawn(move || instance.get(&format!("{API}/search?id=e{client}")));
                    scope.spawn(move || instance.get(&format!("{API}/search/all?status=s{client}")));
                }
            });
            instances.iter().any(warned).then_some(())
        });
    }
}

/// Opens all sessions that the pooler may have, and runs statements in each of them. From then on, every transaction has another session than the one before.
fn run_in_every_session(pooler: &PgBouncer, database: &str, statements: &str) {
    let sessions: Vec<Sql> = (0..POOL_SIZE).map(|_| pooler.sql(database)).collect();
    for session in &sessions {
        session.run("BEGIN");
    }
    for session in &sessions {
        session.run(&format!("{statements}; COMMIT"));
    }
}

/// The names that the appliance's prepared statements have belong to others, as those of another instance do by chance.
const TAKE_STATEMENT_NAMES: &str = "DEALLOCATE ALL;
    DO $$ BEGIN FOR n IN 0..999 LOOP EXECUTE format('PREPARE s%s AS SELECT 1', n); END LOOP; END $$";

/// `pg_dump` leaves its session without a search path, and the pooler gives the session to other programs.
#[test]
fn a_backup_is_not_made_through_a_pooler_in_transaction_mode() {
    let direct = format!("  listen_url: postgres://{}:{}\n", shared_postgres().address(), shared_postgres().port);
    for (mode, keys, expected) in [
        (PoolMode::Transaction, "", 1),
        (PoolMode::Transaction, "  pooler: transaction\n", 1),
        (PoolMode::Transaction, &direct, 0),
        (PoolMode::Session, "", 0),
    ] {
        let (pooler, database) = pooler(mode);
        let instance = appliance_behind(&pooler, &database, &format!("{keys}{WITHOUT_REDIS}")).start();
        let data = instance.data().display().to_string();
        let command = instance.settings().command(&["backup", "create", "--data-dir", &data]);
        let output = command.finish().expect(expected).output();
        assert_eq!(output.contains("let postgres.listen_url name the server itself"), expected == 1, "{output}");
        if mode == PoolMode::Transaction {
            run_in_every_session(&pooler, &database, "SELECT FROM records");
        }
    }
}

/// What a session has prepared would be missing in the next one.
#[test]
fn starts_and_commands_keep_nothing_in_the_sessions_of_a_pooler_in_transaction_mode() {
    let (pooler, database) = pooler(PoolMode::Transaction);
    for keys in ["", "  pooler: transaction\n", "employees: { strict: true }\n", "employees: { strict: false }\n"] {
        run_in_every_session(&pooler, &database, "SELECT 1");
        let keys = format!("{keys}{WITHOUT_REDIS}auth: {{ mode: required }}\n");
        let instance = appliance_behind(&pooler, &database, &keys).start();
        instance.get(&format!("{API}/health")).expect(200);
        let data = instance.data().display().to_string();
        for command in [&["account", "list"][..], &["token", "list"], &["migrate", "status"], &["migrate", "history"]] {
            run_in_every_session(&pooler, &database, "SELECT 1");
            instance.settings().command(command).arg("--data-dir").arg(&data).finish().expect(0);
        }
    }
}

#[test]
fn a_write_that_is_refused_before_it_is_run_is_tried_again() {
    let put = |path: &str, body: Value| {
        let (path, body) = (format!("{API}{path}"), body.to_string());
        Request::new("PUT", &path).header("Content-Type", "application/json").body(body)
    };
    let create = |id: String| {
        let body = record(&id, "n", "s", "2023-08-01").to_string();
        Request::post_json(&format!("{API}/create"), body)
    };
    let count = "SELECT count(*) FROM records WHERE status = 's'";
    for (what, writes, stored) in [
        ("a create", vec![create("b".to_owned())], "2"),
        ("creates together", (0..32).map(|number| create(format!("b{number}"))).collect(), "33"),
        ("a correction", vec![put("/records/a/2023-08-01", json!({"name": "n", "status": "t", "reason": "r"}))], "0"),
        ("a deletion", vec![Request::new("DELETE", &format!("{API}/records/a/2023-08-01?reason=r"))], "0"),
        ("an employee", vec![put("/employees/a", json!({"name": "n"}))], "1"),
        ("a day", vec![put("/calendar/2023-08-01", json!({"kind": "holiday"}))], "1"),
    ] {
        let (pooler, database) = pooler(PoolMode::Transaction);
        let keys = format!("  pooler: session\n{WITHOUT_REDIS}");
        let instance = appliance_behind(&pooler, &database, &keys).start();
        let sql = shared_postgres().sql(&database);
        sql.run("INSERT INTO records VALUES ('a', 'n', 's', '2023-08-01')");
        run_in_every_session(&pooler, &database, TAKE_STATEMENT_NAMES);
        thread::scope(|scope| {
            for write in &writes {
                let instance = &instance;
                scope.spawn(move || {
                    let answer = instance.send(write);
                    assert!((200..300).contains(&answer.status), "{what}: {answer:?}");
                });
            }
        });
        instance
            .wait_log("a statement was refused", |line| line.to_string().contains("set postgres.pooler: transaction"));
        assert_eq!(sql.value(count), stored, "{what}");
    }
}

#[test]
fn nothing_is_kept_in_the_sessions_of_a_pooler_in_transaction_mode() {
    let (pooler, database) = pooler(PoolMode::Transaction);
    // With a cache, so that the appliance would like to LISTEN.
    let appliance = appliance_behind(&pooler, &database, "").start();
    wait_for_cache(&appliance);
    thread::scope(|scope| {
        for client in 0..8 {
            let appliance = &appliance;
            scope.spawn(move || work(appliance, client));
        }
    });
    // Open transactions show every session of the pooler.
    let sessions: Vec<Sql> = (0..POOL_SIZE).map(|_| pooler.sql(&database)).collect();
    sessions.iter().for_each(|session| session.run("BEGIN"));
    let mut processes: Vec<String> = sessions.iter().map(|session| session.value("SELECT pg_backend_pid()")).collect();
    processes.sort();
    processes.dedup();
    assert_eq!(processes.len(), POOL_SIZE);
    for session in &sessions {
        assert_eq!(kept_by(session), Vec::<String>::new());
    }
}

#[test]
fn instances_that_start_together_migrate_once_and_leave_no_lock() {
    for mode in MODES {
        for _ in 0..3 {
            let (pooler, database) = pooler(mode);
            let keys = format!("  pool_size: 1\n{WITHOUT_REDIS}");
            let mut instances = [(); 2].map(|()| appliance_behind(&pooler, &database, &keys).spawn());
            instances.iter_mut().for_each(Appliance::wait_listening);
            let sql = shared_postgres().sql(&database);
            let distinct = "SELECT count(*) = count(DISTINCT id || author || filename) FROM databasechangelog";
            assert_eq!(sql.value(distinct), "t");
            assert_eq!(sql.value("SELECT locked FROM databasechangeloglock"), "f");
            let locks = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database \
                         WHERE locktype = 'advisory' AND datname = current_database()";
            assert_eq!(sql.value(locks), "0");
            for (number, instance) in instances.iter().enumerate() {
                create(instance, &record(&format!("{number}"), "n", "s", "2023-08-01")).expect(200);
            }
        }
    }
}

#[test]
fn a_start_waits_for_an_instance_that_migrates_behind_a_pooler_in_transaction_mode() {
    let (pooler, database) = pooler(PoolMode::Transaction);
    let holder = shared_postgres().sql(&database);
    // "liquibas" in ASCII, the key of the lock.
    holder.run("SELECT pg_advisory_lock(7811899777744003443)");
    let mut waiting = appliance_behind(&pooler, &database, WITHOUT_REDIS).spawn();
    waiting.wait_log("it waits", |line| line["message"] == "waiting for the migration lock");
    assert_eq!(holder.value("SELECT to_regclass('records') IS NULL"), "t", "nothing is migrated meanwhile");
    holder.run("SELECT pg_advisory_unlock_all()");
    waiting.wait_listening();
}

#[test]
fn migrate_works_through_a_pooler() {
    for mode in MODES {
        let (pooler, database) = pooler(mode);
        let migrate = |command: &str| {
            let builder = appliance_behind(&pooler, &database, WITHOUT_REDIS).command(&["migrate", command]);
            let data = builder.data().display().to_string();
            builder.arg("--data-dir").arg(&data).finish().expect(0).stdout
        };
        let pending = migrate("status");
        migrate("update");
        assert_ne!(migrate("status"), pending);
        let sql = shared_postgres().sql(&database);
        assert_eq!(sql.value("SELECT locked FROM databasechangeloglock"), "f");
    }
}

#[test]
fn writes_by_others_are_seen_through_a_pooler() {
    let listen = format!("  listen_url: postgres://127.0.0.1:{}\n", shared_postgres().port);
    for (mode, keys, is_announced) in
        [(PoolMode::Session, "", true), (PoolMode::Transaction, "", false), (PoolMode::Transaction, &listen, true)]
    {
        let (pooler, database) = pooler(mode);
        let appliance = appliance_behind(&pooler, &database, &format!("{keys}redis:\n  ttl: 1h\n")).start();
        wait_for_cache(&appliance);
        let limited = |line: &Value| line.to_string().contains("writes by other programs are not announced");
        let log = appliance.log();
        assert_eq!(!log.iter().any(limited), is_announced, "{log:#?}");
        if !is_announced {
            assert!(log.iter().any(|line| limited(line) && line.to_string().contains("postgres.listen_url")));
        }
        // It has no application_name, and may get a session that had the appliance's.
        let sql = pooler.sql(&database);
        create(&appliance, &record("1", "ours", "s", "2023-08-01")).expect(200);
        for name in ["first", "second", "third"] {
            appliance.get(&format!("{API}/search?id=1")).expect(200);
            sql.run(&format!("UPDATE records SET name = '{name}'"));
            let found = || appliance.get(&format!("{API}/search?id=1")).expect(200).json()["name"] == name;
            eventually(&format!("the update is seen ({mode:?}{keys})"), || found().then_some(()));
        }
        let heard = || {
            let metrics = appliance.get("/metrics").text();
            let line = metrics.lines().find(|line| line.starts_with("attendance_api_foreign_changes_total"));
            line.expect("it is counted").to_owned()
        };
        let before = heard();
        for day in 2..10 {
            create(&appliance, &record("1", "ours", "s", &format!("2023-08-{day:02}"))).expect(200);
        }
        // A write by another program is announced after those of the appliance.
        sql.run("UPDATE records SET name = 'last'");
        eventually("the last update is seen", || {
            (appliance.get(&format!("{API}/search?id=1")).expect(200).json()["name"] == "last").then_some(())
        });
        let count = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect("a number");
        assert!(count(&heard()) <= count(&before) + 1, "its own creates are recognised: {before}, {}", heard());
    }
}

#[test]
fn a_statement_whose_reader_has_gone_is_cancelled_through_a_pooler() {
    for mode in MODES {
        let (pooler, database) = pooler(mode);
        let appliance = appliance_behind(&pooler, &database, WITHOUT_REDIS).start();
        let sql = shared_postgres().sql(&database);
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        for has_reset in [false, true] {
            sql.run("BEGIN; LOCK TABLE records");
            let mut client = appliance.connect();
            client.begin(&Request::get(&format!("{API}/search/all"))).expect("the server reads");
            eventually("the statement waits", || (sql.value(waiting) == "1").then_some(()));
            if has_reset {
                client.reset().expect("it is connected");
            } else {
                drop(client);
            }
            eventually("the statement is cancelled", || (sql.value(waiting) == "0").then_some(()));
            sql.run("ROLLBACK");
        }
        assert_eq!(appliance.get(&format!("{API}/search/all")).expect(200).json(), json!([]));
    }
}

#[test]
fn a_wrong_password_and_a_missing_database_are_explained_through_a_pooler() {
    let (pooler, database) = pooler(PoolMode::Transaction);
    let wrong = pooler.config(&database).replace(&shared_postgres().password, "wr0ng-passw0rd");
    let missing = pooler.config("no_such_database");
    for (section, words) in [(wrong, "postgres.password"), (missing, "postgres.database")] {
        let finished = Appliance::builder().config(&section).config(WITHOUT_REDIS).finish().expect(1);
        assert!(finished.stderr.contains(words), "what to correct: {}", finished.stderr);
    }
}

#[test]
fn a_pooler_in_statement_mode_is_refused_with_a_message() {
    let (pooler, database) = pooler(PoolMode::Statement);
    for keys in ["", "  pooler: auto\n"] {
        let finished = appliance_behind(&pooler, &database, &format!("{keys}{WITHOUT_REDIS}")).finish().expect(1);
        assert!(finished.stderr.contains("statement mode"), "{}", finished.stderr);
        assert!(finished.stderr.contains("pool_mode"), "what to do: {}", finished.stderr);
    }
}

/// The configuration for a new database whose owner may have no more than [`POOL_SIZE`] connections.
fn config_of_limited_role(server: &Postgres, database: &str) -> String {
    server.sql(database).run(&format!(
        "CREATE ROLE {database}_few LOGIN PASSWORD 'few-pw' CONNECTION LIMIT {POOL_SIZE}; ALTER DATABASE {database} OWNER TO {database}_few"
    ));
    let section = server.direct_config(database);
    section.replace("user: postgres", &format!("user: {database}_few")).replace(&server.password, "few-pw")
}

/// A shortage of connections without a pooler.
#[test]
fn requests_wait_if_the_role_may_have_fewer_connections_than_the_pool() {
    let section = config_of_limited_role(shared_postgres(), &shared_postgres().create_database());
    check_mixed_load(&Appliance::builder().config(&section).config(WITHOUT_REDIS).start());
}

/// The server counts a connection from the moment it is accepted, and refuses the others before that one can be used.
#[test]
fn requests_wait_for_the_connections_that_others_are_making() {
    let server = Postgres::start();
    let database = server.create_database();
    let section = format!("{}  request_timeout: 10s\n", config_of_limited_role(&server, &database));
    let appliance = Appliance::builder().config(&section).config(WITHOUT_REDIS).start();
    let sql = server.sql(&database);
    sql.run("ALTER SYSTEM SET post_auth_delay = 1");
    sql.run("SELECT pg_reload_conf()");
    eventually("a connection takes a second", || {
        (server.sql(&database).value("SHOW post_auth_delay") == "1s").then_some(())
    });
    let ended = sql.rows(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{database}_few' AND query NOT LIKE '%pg_listening_channels%'"
    ));
    assert!(!ended.is_empty(), "the pool has connections");
    thread::scope(|scope| {
        let appliance = &appliance;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || appliance.get(&format!("{API}/search/all?status=s{client}"))))
            .collect();
        for client in clients {
            client.join().expect("the client has an answer").expect(200);
        }
    });
}
