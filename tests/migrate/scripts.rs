//! The `-sql` commands: psql runs the script of this program and the recorded script of Liquibase, and the resulting databases are equal.

use serde_json::Value;

use crate::golden::{Case, plain_views};
use crate::support::{Database, scratch, text};

/// A database in the state before the script: empty, or updated.
fn prepared(case: &Case, updated: bool) -> Database {
    let database = Database::new();
    if let Some(sql) = case.golden["meta"]["pre_sql"].as_str() {
        database.run(sql);
    }
    if updated {
        case.run(&database, &case.golden["update"]);
    }
    database
}

/// What a script results in: history, schema and data, or the error of the database.
fn outcome(case: &Case, updated: bool, script: Result<String, String>) -> Result<Value, String> {
    let database = prepared(case, updated);
    script.and_then(|script| database.try_script(&script))?;
    let schema = plain_views(&database.schema());
    Ok(serde_json::json!({ "history": database.history(), "schema": schema, "data": database.data() }))
}

/// What the command itself results in.
fn command(case: &Case, updated: bool, step: &Value) -> Result<Value, String> {
    let database = prepared(case, updated);
    let output = case.run(&database, step);
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    let schema = plain_views(&database.schema());
    Ok(serde_json::json!({ "history": database.history(), "schema": schema, "data": database.data() }))
}

/// The script of Liquibase, with values in place of the masks.
fn recorded(script: &Value) -> String {
    let text = script["stdout"].as_str().unwrap_or_default();
    text.replace("'<DEPLOYMENT>'", "'1'").replace("<DEPLOYMENT>", "'1'").replace("<HOST>", "somewhere")
}

/// The script of this program.
fn ours(case: &Case, step: &Value, updated: bool) -> Result<String, String> {
    let output = case.run(&prepared(case, updated), step);
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// How the results of the two scripts differ. If only Liquibase's script cannot run, the result of the command is compared instead.
fn differing(case: &Case, updated: bool, script: &str, step: &str) -> Option<String> {
    let script = &case.golden[script];
    let ours = outcome(case, updated, ours(case, script, updated));
    let theirs = outcome(case, updated, Ok(recorded(script)));
    // If both fail, their messages may differ.
    if ours.is_err() && theirs.is_err() {
        return None;
    }
    let theirs = theirs.or_else(|_| command(case, updated, &case.golden[step]));
    let differs = ours != theirs && (ours.is_ok() || theirs.is_ok());
    differs.then(|| format!("{}\n   ours  {ours:?}\n   theirs {theirs:?}", case.name))
}

/// Cases whose update succeeds. A script of another case would fail in the middle.
fn successful_cases() -> Vec<Case> {
    // If a time in the SQL is masked in the recording, the script cannot run.
    let masked = |case: &Case| {
        let script = case.golden["update_sql"]["stdout"].as_str().unwrap_or_default();
        script.lines().any(|line| line.contains("<TIME>") && !line.starts_with("-- Ran at"))
    };
    let works =
        |case: &Case| case.golden["update"]["exit"] == 0 && case.golden["update_sql"]["exit"] == 0 && !masked(case);
    Case::all("scripts").into_iter().filter(works).collect()
}

/// Whether the result of a script may differ from that of the update: a script does not check preconditions, and cannot continue
/// after an error.
fn depends_on_outcomes(case: &Case) -> bool {
    let file = case.directory.join(case.golden["changelog"].as_str().unwrap());
    let text = text(&std::fs::read(file).unwrap()).to_lowercase();
    ["precondition", "onvalidationfail", "failonerror"].iter().any(|word| text.contains(word))
}

#[test]
fn update_sql_results_in_the_database_of_liquibases_script() {
    let cases = successful_cases()
        .into_iter()
        .filter(|case| case.golden["update_sql"]["stdout"] != "" && !depends_on_outcomes(case));
    let found: Vec<String> = cases.filter_map(|case| differing(&case, false, "update_sql", "update")).collect();
    assert!(found.is_empty(), "{} differences\n{}", found.len(), found.join("\n"));
}

#[test]
fn rollback_sql_results_in_the_database_of_liquibases_script() {
    let cases = successful_cases()
        .into_iter()
        .filter(|case| case.golden["rollback_sql_1"]["exit"] == 0 && !depends_on_outcomes(case));
    let found: Vec<String> =
        cases.filter_map(|case| differing(&case, true, "rollback_sql_1", "rollback_count_1")).collect();
    assert!(found.is_empty(), "{} differences\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_change_without_sql_is_left_out_of_a_script_as_fail_on_error_says() {
    let directory = scratch("left-out");
    let log = |attributes: &str| {
        let sets = format!(
            "<changeSet id='1' author='me'><sql>create table t (a int)</sql></changeSet>\
             <changeSet id='2' author='me' {attributes}><sql>create table u (a int)</sql><output target='nowhere'>hi</output></changeSet>\
             <changeSet id='3' author='me'><empty/></changeSet>"
        );
        std::fs::write(directory.join("log.xml"), format!("<databaseChangeLog>{sets}</databaseChangeLog>")).unwrap();
    };
    let database = Database::new();
    log("failOnError='false'");
    database.script(&database.migrated(&directory, &["--changelog-file=log.xml", "update-sql"]));
    assert_eq!(database.run("SELECT string_agg(id, ' ' ORDER BY orderexecuted) FROM databasechangelog").trim(), "1 3");
    assert_eq!(database.run("SELECT count(*) FROM u").trim(), "0");
    log("");
    let refused = Database::new().migrate(&directory, &["--changelog-file=log.xml", "update-sql"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("Unknown target: nowhere"), "{}", text(&refused.stderr));
}

#[test]
fn a_value_from_a_file_is_a_warning_in_a_script() {
    let directory = scratch("prepared");
    let insert = "<insert tableName='t'><column name='a' valueClobFile='missing.txt'/></insert>";
    let set = format!("<changeSet id='1' author='me'>{insert}</changeSet>");
    std::fs::write(directory.join("log.xml"), format!("<databaseChangeLog>{set}</databaseChangeLog>")).unwrap();
    let script = Database::new().migrated(&directory, &["--changelog-file=log.xml", "update-sql"]);
    assert!(script.contains("\nWARNING: This statement uses a prepared statement"), "{script}");
}
