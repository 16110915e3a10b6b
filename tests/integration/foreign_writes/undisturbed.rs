//! The triggers never disturb another program.

use super::Deployment;
use crate::support::{create, record, shared_postgres};

/// The triggers must not make a statement of another program fail, whatever its session, its role and its data.
#[test]
fn the_triggers_make_no_statement_of_another_program_fail() {
    let deployment = Deployment::external(1, false);
    let Deployment { instances, sql, database, .. } = &deployment;
    create(&instances[0], &record("a", "created", "s", "2023-08-01")).expect(200);
    let writer = format!("{database}_writer");
    sql.run(&format!(
        "CREATE ROLE {writer}; GRANT SELECT, INSERT, UPDATE ON records TO {writer};
         REVOKE ALL ON SCHEMA attendance_api FROM PUBLIC;
         REVOKE ALL ON FUNCTION attendance_api.announce_change_of_records() FROM PUBLIC;
         REVOKE ALL ON FUNCTION pg_notify(text, text) FROM PUBLIC;
         CREATE SCHEMA evil;
         CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'evil'; END$$;
         CREATE FUNCTION evil.format(text, VARIADIC \"any\") RETURNS text LANGUAGE internal AS 'text_concat_ws';
         CREATE FUNCTION evil.unlike(text, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'evil'; END$$;
         CREATE OPERATOR evil.!~ (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.unlike);
         CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.unlike);
         CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.unlike);
         CREATE OPERATOR evil.~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.unlike);"
    ));
    let sessions = [
        "SET search_path = ''",
        "SET search_path = evil, pg_catalog",
        "SET standard_conforming_strings = off; SET backslash_quote = off; SET escape_string_warning = on",
        "SET session_replication_role = replica",
        "SET bytea_output = 'escape'; SET lc_messages = 'C'; SET DateStyle = 'German'",
        "SET plpgsql.extra_errors = 'all'; SET plpgsql.variable_conflict = 'error'; SET plpgsql.check_asserts = on",
        "SET application_name = 'attendance-api/'' || pg_sleep(1); \\'",
        "SET application_name = 'attendance-api/0123456789abcdef'",
        "SET application_name = 'ATTENDANCE-API'",
        "SET row_security = off; SET default_transaction_isolation = 'serializable'",
        &format!("SET SESSION AUTHORIZATION {writer}"),
        "SET temp_file_limit = 0; SET work_mem = '64kB'",
    ];
    for (number, session) in sessions.iter().enumerate() {
        let name = format!("session {number}");
        let other = shared_postgres().sql(database);
        other.run(session);
        other.run(&format!("UPDATE public.records SET name = '{name}' WHERE id OPERATOR(pg_catalog.=) 'a'"));
        deployment.expect_name(session, "a", Some(&name));
    }
    let long = "lpad(n::text, 8000, 'x')";
    let data = [
        format!("INSERT INTO records SELECT left(md5(n::text) || {long}, 2000), {long}, {long}, '2023-08-01' FROM generate_series(1, 10000) n"),
        "ALTER TABLE records ALTER id DROP NOT NULL; INSERT INTO records VALUES (NULL, NULL, NULL, NULL), (NULL, '', '', 'infinity')".to_owned(),
        "INSERT INTO records VALUES (E'\\'\"\\\\$$\\t\\n\\u00e9\\U0001F600', E'\\'', '%s%I%L', '0001-01-01 BC')".to_owned(),
        "COPY records (id, name, status, date) FROM PROGRAM 'seq 1 100000 | sed s/$/,n,s,2023-08-01/' WITH (FORMAT csv)".to_owned(),
        "BEGIN; INSERT INTO records SELECT 'b' || n, 'n', 's', '2023-08-01' FROM generate_series(1, 1000) n; ROLLBACK".to_owned(),
        "UPDATE records SET status = 'changed'".to_owned(),
        "DELETE FROM records WHERE id IS NULL".to_owned(),
        "BEGIN; SAVEPOINT one; DELETE FROM records; ROLLBACK TO one; UPDATE records SET name = 'after a savepoint' WHERE id = 'a'; COMMIT".to_owned(),
    ];
    for statement in &data {
        sql.run(statement);
    }
    deployment.expect_name("the last update", "a", Some("after a savepoint"));
    assert_eq!(sql.value("SELECT count(*) > 110000 FROM records"), "t");
    sql.run("TRUNCATE records");
    deployment.expect_name("the end", "a", None);
}
