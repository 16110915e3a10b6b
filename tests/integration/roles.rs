//! The roles of the managed PostgreSQL: what requests may do, who owns the tables, and the conversion of an older cluster.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{API, Appliance, Sql, create, eventually, record, records};

/// A role's password, as the appliance has recorded it.
fn password(data: &Path, role: &str) -> String {
    let text = fs::read_to_string(data.join("postgres/roles")).expect("the passwords are recorded");
    let line = text.lines().find(|line| line.starts_with(role)).unwrap_or_else(|| panic!("{role} is recorded"));
    line.split_whitespace().nth(1).expect("a name and a password").to_owned()
}

fn connect(data: &Path, role: &str, database: &str) -> Result<Sql, String> {
    Sql::connect(&Sql::on_socket(&data.join("run"), 5432, role, &password(data, role), database))
}

/// What the superuser owns beyond what every PostgreSQL has. The functions of a range type belong to the type.
const OF_SUPERUSER: &str = "SELECT count(*) FROM (
       SELECT oid FROM pg_class WHERE relowner = 10 AND relnamespace <> 'pg_toast'::regnamespace UNION ALL
       SELECT oid FROM pg_proc WHERE proowner = 10 AND oid NOT IN (SELECT objid FROM pg_depend WHERE deptype = 'i') UNION ALL
       SELECT oid FROM pg_type WHERE typowner = 10 AND typtype IN ('c', 'd', 'e', 'r') UNION ALL
       SELECT oid FROM pg_namespace WHERE nspowner = 10) AS object WHERE oid >= 16384";

#[test]
fn requests_may_do_what_their_statements_do_and_nothing_else() {
    let appliance = Appliance::builder().start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let data = appliance.data();
    assert_eq!(fs::metadata(data.join("postgres/roles")).unwrap().permissions().mode() & 0o777, 0o600);
    let requests = connect(&data, "attendance_request", "attendance_db").expect("the role of the requests may log in");
    requests.run(
        "INSERT INTO records (id, name, status, date) VALUES ('2', 'n', 's', '2023-08-01') ON CONFLICT DO NOTHING",
    );
    assert_eq!(requests.value("SELECT count(*) FROM records"), "2");
    let forbidden = [
        "UPDATE records SET id = 'x'",
        "UPDATE records SET created_at = now()",
        "TRUNCATE records",
        "UPDATE record_changes SET reason = 'x'",
        "TRUNCATE record_changes",
        "DROP TABLE employees",
        "ALTER TABLE calendar_days ADD COLUMN x text",
        "DROP TABLE records",
        "ALTER TABLE records ADD COLUMN x text",
        "ALTER TABLE records DISABLE TRIGGER ALL",
        "CREATE INDEX ON records (name)",
        "DO $$ BEGIN LOCK TABLE databasechangelog IN ACCESS EXCLUSIVE MODE; END $$",
        "SELECT * FROM databasechangelog",
        "SELECT * FROM databasechangeloglock",
        "SELECT * FROM attendance_api.versions",
        "SELECT * FROM attendance_api.identity",
        "UPDATE attendance_api.audit SET action = 'x'",
        "DELETE FROM attendance_api.audit",
        "TRUNCATE attendance_api.audit",
        "ALTER TABLE attendance_api.audit DISABLE TRIGGER ALL",
        "CREATE OR REPLACE FUNCTION attendance_api.redact_audit(text, bigint[]) RETURNS void LANGUAGE sql AS 'SELECT'",
        "UPDATE attendance_api.access_key SET key = key",
        "DELETE FROM attendance_api.access_key",
        "ALTER TABLE attendance_api.sessions DISABLE TRIGGER ALL",
        "TRUNCATE attendance_api.accounts CASCADE",
        "SELECT * FROM pg_authid",
        "COPY records TO PROGRAM 'cat'",
        "COPY records FROM PROGRAM 'echo 1'",
        "COPY records TO '/tmp/attendance-records'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT pg_ls_dir('.')",
        "SELECT lo_create(0)",
        "CREATE TABLE x (y int)",
        "CREATE TEMPORARY TABLE x (y int)",
        "CREATE SCHEMA x",
        "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE x AS ENUM ('y')",
        "CREATE ROLE x",
        "CREATE DATABASE x",
        "DROP DATABASE postgres",
        "ALTER DATABASE attendance_db SET fsync = off",
        "ALTER SYSTEM SET fsync = off",
        "ALTER ROLE attendance_owner PASSWORD 'x'",
        "ALTER ROLE attendance_request SUPERUSER",
        "SET synchronous_commit = off; SET ROLE attendance_owner",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    ];
    requests.run("SELECT attendance_api.redact_audit('x', '{}'), attendance_api.remove_audit(0, 1)");
    // An open session of the superuser, for the last statement.
    let superuser = appliance.sql();
    for statement in forbidden {
        let error = requests.try_run(statement).expect_err(statement);
        assert!(
            ["42501", "permission denied", "must be"].iter().any(|word| error.contains(word)),
            "{statement}: {error}"
        );
    }
    for database in ["postgres", "template1"] {
        assert!(connect(&data, "attendance_request", database).is_err(), "it may not enter {database}");
    }
    let users =
        "SELECT string_agg(DISTINCT usename, ',') FROM pg_stat_activity WHERE application_name = 'attendance-api'";
    // The connections of the start end a moment after it.
    eventually("only the role of the requests is connected", || {
        (superuser.value(users) == "attendance_request").then_some(())
    });
    assert_eq!(superuser.value(OF_SUPERUSER), "0");
    let owner = connect(&data, "attendance_owner", "attendance_db").expect("the owner may log in");
    owner.try_run("ALTER TABLE records ADD COLUMN x text; ALTER TABLE records DROP COLUMN x").unwrap();
    owner.try_run("COPY records TO PROGRAM 'cat'").expect_err("the owner is no superuser");
    owner.try_run("CREATE ROLE x").expect_err("the owner makes no roles");
}

/// What an administrator may have added, as the superuser.
const ADDITIONS: &str = "
    CREATE SCHEMA \"Odd Schema\"; CREATE TABLE \"Odd Schema\".\"a\"\"b\" (id serial PRIMARY KEY, at date);
    CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
    CREATE VIEW present AS SELECT * FROM records WHERE status = 'Present';
    CREATE MATERIALIZED VIEW days AS SELECT date, count(*) FROM records GROUP BY date;
    CREATE SEQUENCE numbers; CREATE TABLE generated (id int GENERATED ALWAYS AS IDENTITY);
    CREATE TYPE kind AS ENUM ('a'); CREATE TYPE pair AS (a int, b int); CREATE DOMAIN name_of AS text; CREATE TYPE span AS RANGE (subtype = int);
    CREATE FUNCTION one(integer) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE PROCEDURE two() LANGUAGE sql AS 'SELECT 1';
    CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int, initcond = '0');
    CREATE ROLE reporting LOGIN; GRANT SELECT ON records TO reporting;";

/// Makes the cluster what version 0.1.0 left: the superuser owns everything, and the two roles do not exist.
fn make_old(appliance: &Appliance) {
    let sql = appliance.sql();
    sql.run(
        "REASSIGN OWNED BY attendance_owner TO postgres; DROP OWNED BY attendance_owner, attendance_request;
         GRANT CONNECT, TEMPORARY ON DATABASE attendance_db, postgres TO PUBLIC;
         DROP ROLE attendance_owner; DROP ROLE attendance_request;",
    );
    assert_eq!(
        sql.value("SELECT count(*) FROM pg_tables WHERE tableowner = 'postgres' AND schemaname = 'public'"),
        "6"
    );
}

#[test]
fn a_cluster_in_which_the_superuser_owns_everything_is_converted_and_keeps_its_data() {
    let mut appliance = Appliance::builder().start();
    create(&appliance, &record("1", "One", "Present", "2023-08-01")).expect(200);
    make_old(&appliance);
    appliance.sql().run(ADDITIONS);
    let data = appliance.data();
    fs::remove_file(data.join("postgres/roles")).unwrap();
    appliance.stop();

    appliance.start_again();
    assert_eq!(records(&appliance, "").len(), 1);
    create(&appliance, &record("2", "Two", "Present", "2023-08-01")).expect(200);
    create(&appliance, &record("1", "One", "Present", "2023-08-01")).expect(409);
    let sql = appliance.sql();
    assert_eq!(sql.value(OF_SUPERUSER), "0");
    assert_eq!(
        sql.value(
            "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname !~ '^(pg_|information)'"
        ),
        "attendance_owner"
    );
    assert_eq!(
        sql.value("SELECT has_table_privilege('reporting', 'records', 'SELECT')"),
        "t",
        "other roles keep theirs"
    );
    let established = |appliance: &Appliance| {
        appliance
            .log()
            .iter()
            .filter(|line| line["message"].as_str().is_some_and(|text| text.contains("attendance_owner")))
            .count()
    };
    assert_eq!(established(&appliance), 1);

    // A start that has nothing to convert changes nothing.
    let before = fs::read(data.join("postgres/roles")).unwrap();
    appliance.stop();
    appliance.start_again();
    assert_eq!((established(&appliance), fs::read(data.join("postgres/roles")).unwrap()), (0, before));

    // A dump restored by the superuser, a changed password and a lost file.
    appliance.sql().run("ALTER TABLE records OWNER TO postgres; ALTER ROLE attendance_owner PASSWORD 'x'");
    appliance.stop();
    appliance.start_again();
    assert_eq!(appliance.sql().value(OF_SUPERUSER), "0");
    fs::remove_file(data.join("postgres/roles")).unwrap();
    appliance.stop();
    appliance.start_again();
    assert_eq!(records(&appliance, "").len(), 2);

    // What could lose acknowledged records is found also where only the role of the requests has it.
    appliance.sql().run("ALTER ROLE attendance_request SET synchronous_commit = off");
    appliance.stop();
    let finished = appliance.settings().finish().expect(1);
    assert!(finished.stderr.contains("synchronous_commit"), "{}", finished.stderr);
}

#[test]
fn migrate_works_as_the_owner_beside_a_running_appliance_and_without_one() {
    let mut appliance = Appliance::builder().config("redis: { mode: off }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let data = appliance.data().display().to_string();
    let migrate = |command: &str| {
        Appliance::builder().command(&["migrate", command, "--data-dir", &data]).finish_without_default_args().expect(0)
    };
    migrate("status");
    migrate("history");
    // The new table belongs to the owner, and requests may use it at once.
    appliance.sql().run("DROP TABLE records; DELETE FROM databasechangelog");
    migrate("update");
    assert_eq!(
        appliance.sql().value("SELECT tableowner FROM pg_tables WHERE tablename = 'records'"),
        "attendance_owner"
    );
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    assert_eq!(appliance.get(&format!("{API}/search/all")).expect(200).json().as_array().map(Vec::len), Some(1));
    appliance.sql().run("DROP TABLE records; DELETE FROM databasechangelog");
    appliance.stop();
    migrate("update");
    appliance.start_again();
    create(&appliance, &record("2", "n", "s", "2023-08-01")).expect(200);
}

#[test]
fn a_migrate_command_that_only_reads_makes_no_cluster() {
    let builder = Appliance::builder();
    let (empty, clone) = (builder.scratch().join("empty"), builder.scratch().join("clone"));
    fs::create_dir_all(clone.join(".data/postgres/16")).expect("a directory");
    fs::write(clone.join(".data/postgres/16/PG_VERSION"), "16\n").expect("a file");
    let empty = empty.display().to_string();
    let fails = |words: &[&str]| {
        let words = [&["--data-dir", &empty, "migrate"], words].concat();
        let program =
            std::process::Command::new(env!("CARGO_BIN_EXE_attendance-api")).args(&words).current_dir(&clone).output();
        let finished = program.expect("the program runs");
        let stderr = String::from_utf8_lossy(&finished.stderr);
        assert_eq!(finished.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(&format!("there is no database in {empty}; did you mean --data-dir")), "{stderr}");
        assert!(!Path::new(&empty).exists(), "{words:?} made {empty}");
    };
    for command in
        ["status", "history", "validate", "update-sql", "list-locks", "generate-changelog", "unexpected-changesets"]
    {
        fails(&[command]);
    }
    fails(&["tag-exists", "--tag", "x"]);
    fails(&["rollback-count-sql", "--count", "1"]);
}
