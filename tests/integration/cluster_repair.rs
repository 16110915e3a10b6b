//! What may be changed in the managed cluster behind the back of the appliance: it is repaired at the next start, or explained by one message.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use crate::support::{API, Appliance, Sql, create, eventually, record, records};

/// The most lines of level ERROR of a start: what the server says of one refused login or of one start that failed.
const MAX_ERRORS: usize = 12;

/// An appliance with one record.
fn appliance() -> Appliance {
    let appliance = Appliance::builder().existing_cluster().config("redis: { mode: off }\n").start();
    create(&appliance, &record("before", "n", "s", "2023-08-01")).expect(200);
    appliance
}

fn cluster(appliance: &Appliance) -> PathBuf {
    appliance.data().join("postgres/16")
}

/// Starts it again, and fails unless it has its record, stores another one and was quiet. Returns the warnings of the start.
fn assert_repaired(appliance: &mut Appliance, what: &str) -> Vec<String> {
    let started = Instant::now();
    appliance.start_again();
    eprintln!("{what}: started in {:?}", started.elapsed());
    let found = appliance.get(&format!("{API}/search?id=before"));
    assert_eq!(found.status, 200, "{what}: {}", found.text());
    let id = format!("after-{}", records(appliance, "").len());
    let stored = create(appliance, &record(&id, "n", "s", "2023-08-01"));
    assert_eq!(stored.status, 200, "{what}: {}", stored.text());
    let of_level = |level: &str| {
        let lines = appliance.log().into_iter().filter(|line| line["level"] == level);
        let messages = lines.map(|line| line["message"].to_string());
        // The tests run as root, and this machine need not have the user `attendance-api`.
        messages.filter(|message| !message.contains("started as root")).collect::<Vec<_>>()
    };
    let errors = of_level("ERROR");
    assert!(errors.len() <= MAX_ERRORS, "{what}: {} errors: {errors:#?}", errors.len());
    of_level("WARN")
}

/// Each change is made by the superuser, and the appliance is started again.
fn assert_statements_are_repaired(statements: &[&str]) {
    let mut appliance = appliance();
    for statement in statements {
        superuser(&appliance, "attendance_db").run(statement);
        appliance.stop();
        assert_repaired(&mut appliance, statement);
    }
    appliance.stop();
}

/// A session of the superuser in one of the databases, in which the settings of the statements before have no effect.
fn superuser(appliance: &Appliance, database: &str) -> Sql {
    let password = fs::read_to_string(appliance.data().join("postgres/password")).unwrap();
    let mut config = Sql::on_socket(&appliance.data().join("run"), 5432, "postgres", password.trim(), database);
    config.options("-c session_preload_libraries= -c default_transaction_read_only=off -c statement_timeout=0");
    Sql::connect(&config).unwrap()
}

#[test]
fn a_superuser_that_cannot_log_in_gets_its_login_back() {
    assert_statements_are_repaired(&[
        "ALTER ROLE postgres PASSWORD 'changed by hand'",
        "ALTER ROLE postgres PASSWORD NULL",
        "SET password_encryption = md5; ALTER ROLE postgres PASSWORD 'md5'",
        "ALTER ROLE postgres NOLOGIN",
        "ALTER ROLE postgres VALID UNTIL '2000-01-01'",
        "ALTER ROLE postgres SET session_preload_libraries = 'no_such_library'",
        "ALTER ROLE postgres IN DATABASE attendance_db SET role = 'attendance_request'",
        "CREATE ROLE helper SUPERUSER LOGIN; SET SESSION AUTHORIZATION helper; ALTER ROLE postgres RENAME TO admin",
    ]);
}

#[test]
fn a_lost_or_changed_password_file_is_replaced() {
    let mut appliance = appliance();
    let file = appliance.data().join("postgres/password");
    let mut with = |what: &str, change: &dyn Fn()| {
        appliance.stop();
        change();
        assert_repaired(&mut appliance, what);
        assert_eq!(appliance.sql().value("SELECT current_user"), "postgres", "{what}: the file has the password");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{what}");
    };
    with("removed", &|| fs::remove_file(&file).unwrap());
    with("emptied", &|| fs::write(&file, "").unwrap());
    with("not UTF-8", &|| fs::write(&file, b"\xff\xfe").unwrap());
    with("with a quote", &|| fs::write(&file, "it's \\ me").unwrap());
    let roles = file.with_file_name("roles");
    with("both files removed", &|| {
        fs::remove_file(&file).unwrap();
        fs::remove_file(&roles).unwrap();
    });
}

#[test]
fn access_files_in_the_cluster_have_no_effect() {
    let mut appliance = appliance();
    let hba = cluster(&appliance).join("pg_hba.conf");
    let contents: [&[u8]; 5] =
        [b"local all all reject\n", b"local all all trust\n", b"host all all\n", b"nonsense nonsense\n", b"\xff\0\n"];
    for content in contents {
        appliance.stop();
        fs::write(&hba, content).unwrap();
        let warnings = assert_repaired(&mut appliance, &String::from_utf8_lossy(content));
        assert_eq!(warnings, [""; 0]);
        let wrong = Sql::on_socket(&appliance.data().join("run"), 5432, "postgres", "wrong", "attendance_db");
        assert!(Sql::connect(&wrong).is_err(), "a password is needed");
    }
    appliance.stop();
    fs::remove_file(&hba).unwrap();
    fs::remove_file(hba.with_file_name("pg_ident.conf")).unwrap();
    fs::write(appliance.data().join("postgres/pg_hba.conf"), "local all all trust\n").unwrap();
    assert_repaired(&mut appliance, "removed");
    appliance.stop();
}

#[test]
fn settings_of_the_server_that_the_appliance_relies_on_cannot_be_changed() {
    let settings = [
        "port = 6000",
        "max_connections = 1",
        "shared_buffers = '900GB'",
        "listen_addresses = '192.0.2.1'",
        "unix_socket_directories = '/nowhere'",
        "unix_socket_group = 'no-such-group'",
        "hba_file = '/nowhere'",
        "ident_file = '/nowhere'",
        "external_pid_file = '/nowhere/pid'",
        "superuser_reserved_connections = 20",
        "session_preload_libraries = 'no_such_library'",
        "local_preload_libraries = 'no_such_library'",
        "default_transaction_read_only = on",
        "default_transaction_isolation = 'serializable'",
        "statement_timeout = 1",
        "idle_session_timeout = 1",
        "search_path = 'nowhere'",
        "default_table_access_method = 'heap2'",
        "synchronous_standby_names = 'nobody'",
        "standard_conforming_strings = off",
        "password_encryption = 'md5'",
        "pre_auth_delay = 60",
        "lc_messages = 'C.UTF-8'",
        "log_destination = 'csvlog'",
        "logging_collector = on",
        "fsync = off",
        "timezone = 'Asia/Tokyo'",
    ];
    let mut appliance = appliance();
    let auto = cluster(&appliance).join("postgresql.auto.conf");
    let lines: Vec<String> = settings.iter().map(|line| format!("{line}\n")).collect();
    for line in lines.iter().map(String::as_str).chain([lines.concat().as_str()]) {
        appliance.stop();
        fs::write(&auto, line).unwrap();
        let warnings = assert_repaired(&mut appliance, line);
        assert!(!warnings.iter().any(|warning| warning.contains("unusable")), "{line}: {warnings:?}");
    }
    assert_eq!(fs::read_to_string(&auto).unwrap(), lines.concat(), "the settings are the administrator's");
    appliance.stop();
}

#[test]
fn settings_that_prevent_the_start_are_set_aside_and_named() {
    let mut appliance = appliance();
    let auto = cluster(&appliance).join("postgresql.auto.conf");
    let main = cluster(&appliance).join("postgresql.conf");
    let original = fs::read_to_string(&main).unwrap();
    let unusable = [
        "shared_preload_libraries = 'no_such_library'",
        "max_locks_per_transaction = 2000000000",
        "min_dynamic_shared_memory = '900GB'",
        "wal_level = minimal",
        "huge_pages = maybe",
        "maintenance_work_mem = '-3'",
        "no_such_setting = 1",
        "timezone_abbreviations = 'nowhere'",
        "syntax error (",
        "include = '/nowhere/at/all'",
    ];
    for line in unusable {
        for file in [&auto, &main] {
            appliance.stop();
            // A setting that is usable stays, if it is in the other file.
            fs::write(&auto, "work_mem = '5MB'\n").unwrap();
            fs::write(&main, &original).unwrap();
            fs::write(file, format!("{line}\n")).unwrap();
            let what = format!("{line} in {}", file.display());
            let warnings = assert_repaired(&mut appliance, &what);
            let named = format!("{}.unusable", file.display());
            assert!(warnings.iter().any(|warning| warning.contains(&named)), "{what}: {warnings:#?}");
            assert_eq!(fs::read_to_string(named).unwrap(), format!("{line}\n"), "{what}");
            let work_mem = if *file == auto { "4MB" } else { "5MB" };
            assert_eq!(appliance.sql().value("SHOW work_mem"), work_mem, "{what}");
        }
    }
    appliance.stop();
    fs::write(&auto, "shared_preload_libraries = 'no_such_library'\n").unwrap();
    fs::write(&main, "syntax error (\n").unwrap();
    assert_repaired(&mut appliance, "both files");
    appliance.stop();
    fs::remove_file(&main).unwrap();
    assert_repaired(&mut appliance, "no configuration");
    appliance.stop();
    fs::write(&main, format!("{original}\ndata_directory = '/nowhere'\n")).unwrap();
    assert_repaired(&mut appliance, "another data directory");
    appliance.stop();
}

#[test]
fn settings_of_a_role_or_of_the_database_do_not_change_what_statements_mean() {
    assert_statements_are_repaired(&[
        "ALTER DATABASE attendance_db SET search_path = 'nowhere'",
        "ALTER DATABASE attendance_db SET standard_conforming_strings = off",
        "ALTER ROLE attendance_owner SET default_transaction_read_only = on",
        "ALTER ROLE attendance_request SET search_path = 'nowhere'",
        "ALTER ROLE attendance_request SET statement_timeout = 1",
        "ALTER ROLE postgres SET default_transaction_read_only = on",
        "ALTER ROLE postgres SET statement_timeout = 1",
    ]);
}

#[test]
fn the_roles_and_the_database_get_back_what_they_need() {
    assert_statements_are_repaired(&[
        "ALTER ROLE attendance_request NOLOGIN",
        "ALTER ROLE attendance_request CONNECTION LIMIT 0",
        "ALTER ROLE attendance_request VALID UNTIL '2000-01-01'",
        "ALTER ROLE attendance_request PASSWORD NULL",
        "ALTER ROLE attendance_request RENAME TO somebody",
        "ALTER ROLE attendance_owner RENAME TO somebody",
        "ALTER ROLE attendance_owner NOLOGIN",
        "DROP OWNED BY attendance_request; DROP ROLE attendance_request",
        "CREATE ROLE third; REASSIGN OWNED BY attendance_owner TO third; DROP OWNED BY attendance_owner; DROP ROLE attendance_owner",
        "REVOKE CONNECT ON DATABASE attendance_db FROM attendance_request, PUBLIC",
        "REVOKE USAGE ON SCHEMA public FROM attendance_request, PUBLIC",
        "REVOKE ALL ON records FROM attendance_request",
        "ALTER DATABASE attendance_db CONNECTION LIMIT 0",
    ]);
}

#[test]
fn a_login_of_the_requests_that_is_taken_away_while_serving_is_given_back() {
    let mut appliance = appliance();
    let statements = [
        "ALTER ROLE attendance_request PASSWORD 'changed by hand'",
        "ALTER ROLE attendance_request NOLOGIN",
        "ALTER ROLE attendance_request RENAME TO somebody",
        "REVOKE CONNECT ON DATABASE attendance_db FROM attendance_request, PUBLIC",
    ];
    for (number, statement) in statements.into_iter().enumerate() {
        let sql = superuser(&appliance, "attendance_db");
        // The repair of what the statement before it broke may be changing the same row of the catalogue.
        eventually(statement, || match sql.try_run(statement) {
            Ok(()) => Some(()),
            Err(error) if error.contains("tuple concurrently updated") => None,
            Err(error) => panic!("{error}"),
        });
        sql.run("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'attendance_db' AND pid <> pg_backend_pid()");
        let id = format!("while-serving-{number}");
        eventually(statement, || {
            (create(&appliance, &record(&id, "n", "s", "2023-08-01")).status == 200).then_some(())
        });
    }
    appliance.stop();
    assert_repaired(&mut appliance, "and the next start");
    appliance.stop();
}

#[test]
fn a_database_that_accepts_no_connections_does_again() {
    let mut appliance = appliance();
    superuser(&appliance, "template1").run("ALTER DATABASE attendance_db ALLOW_CONNECTIONS false");
    appliance.stop();
    assert_repaired(&mut appliance, "no connections");
    appliance.stop();
}

/// Ends the connections of the appliance, and runs a statement before it makes new ones.
fn run_without_connections(appliance: &Appliance, statement: &str) {
    let sql = superuser(appliance, "template1");
    sql.run("ALTER DATABASE attendance_db ALLOW_CONNECTIONS false");
    sql.run("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'attendance_db'");
    sql.run("ALTER DATABASE attendance_db ALLOW_CONNECTIONS true");
    sql.run(statement);
}

#[test]
fn a_renamed_database_gets_its_name_back_and_a_dropped_one_is_not_replaced_by_an_empty_one() {
    let mut appliance = appliance();
    let rename = "ALTER DATABASE attendance_db RENAME TO \"old \"\"name\"\"\"";
    run_without_connections(&appliance, rename);
    appliance.stop();
    let warnings = assert_repaired(&mut appliance, rename);
    assert!(warnings.iter().any(|warning| warning.contains("renamed")), "{warnings:?}");

    // Other databases are not mistaken for it, and the usual one for maintenance is not needed.
    superuser(&appliance, "template1").run("DROP DATABASE postgres");
    superuser(&appliance, "template1").run("CREATE DATABASE reports");
    run_without_connections(&appliance, "ALTER DATABASE attendance_db RENAME TO other");
    appliance.stop();
    assert_repaired(&mut appliance, "renamed beside another database");

    // A copy has the tables, too, but the name decides.
    run_without_connections(&appliance, "CREATE DATABASE copy TEMPLATE attendance_db");
    appliance.stop();
    assert_repaired(&mut appliance, "copied");
    run_without_connections(&appliance, "ALTER DATABASE attendance_db RENAME TO original");
    appliance.stop();
    let finished = appliance.settings().finish().expect(1);
    for word in ["attendance_db", "copy", "original"] {
        assert!(finished.stderr.contains(word), "{word}: {}", finished.stderr);
    }
}

#[test]
fn a_dropped_database_is_explained() {
    let mut appliance = appliance();
    run_without_connections(&appliance, "DROP DATABASE attendance_db");
    appliance.stop();
    let finished = appliance.settings().finish().expect(1);
    assert!(
        finished.stderr.contains("attendance_db was dropped") && finished.stderr.contains("backup"),
        "{}",
        finished.stderr
    );
    assert!(finished.stderr.lines().count() <= 3, "{}", finished.stderr);
}

#[test]
fn a_cluster_that_is_open_to_others_is_closed_and_a_standby_is_refused() {
    let mut appliance = appliance();
    let cluster = cluster(&appliance);
    for mode in [0o755, 0o777, 0o705] {
        appliance.stop();
        fs::set_permissions(&cluster, fs::Permissions::from_mode(mode)).unwrap();
        assert_repaired(&mut appliance, &format!("{mode:o}"));
        assert_eq!(cluster.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
    appliance.stop();
    fs::write(cluster.join("standby.signal"), "").unwrap();
    let finished = appliance.settings().finish().expect(1);
    assert!(finished.stderr.contains("standby.signal"), "{}", finished.stderr);
}
