//! The `-sql` forms: a script of ours, run by psql, leads to where Liquibase's own script leads.

use serde_json::Value;

use crate::golden::{Case, plain_views};
use crate::support::{Database, text};

/// A database in the state that a script starts from: empty, or updated.
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

/// Where a script leads: history, schema, data; or the database's complaint.
fn outcome(case: &Case, updated: bool, script: Result<String, String>) -> Result<Value, String> {
    let database = prepared(case, updated);
    script.and_then(|script| database.try_script(&script))?;
    let schema = plain_views(&database.schema());
    Ok(serde_json::json!({ "history": database.history(), "schema": schema, "data": database.data() }))
}

/// Where the command itself leads.
fn command(case: &Case, updated: bool, step: &Value) -> Result<Value, String> {
    let database = prepared(case, updated);
    let output = case.run(&database, step);
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    let schema = plain_views(&database.schema());
    Ok(serde_json::json!({ "history": database.history(), "schema": schema, "data": database.data() }))
}

/// What Liquibase wrote, with the masked values filled in again.
fn recorded(script: &Value) -> String {
    let text = script["stdout"].as_str().unwrap_or_default();
    text.replace("'<DEPLOYMENT>'", "'1'").replace("<DEPLOYMENT>", "'1'").replace("<HOST>", "somewhere")
}

/// What we write.
fn ours(case: &Case, step: &Value, updated: bool) -> Result<String, String> {
    let output = case.run(&prepared(case, updated), step);
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// What differs between our script's outcome and that of Liquibase's; of the command, where Liquibase's script cannot be run.
fn differing(case: &Case, updated: bool, script: &str, step: &str) -> Option<String> {
    let script = &case.golden[script];
    let ours = outcome(case, updated, ours(case, script, updated));
    let theirs = outcome(case, updated, Ok(recorded(script)));
    let theirs = theirs.or_else(|_| command(case, updated, &case.golden[step]));
    // Where neither can be run both say so, each in its words.
    let differs = ours != theirs && (ours.is_ok() || theirs.is_ok());
    differs.then(|| format!("{}\n   ours  {ours:?}\n   theirs {theirs:?}", case.name))
}

/// Cases whose update works: what fails when it is run fails as a script, too, somewhere in the middle.
fn working() -> Vec<Case> {
    // A time in the SQL is masked in the recording, and then cannot be run.
    let masked = |case: &Case| {
        let script = case.golden["update_sql"]["stdout"].as_str().unwrap_or_default();
        script.lines().any(|line| line.contains("<TIME>") && !line.starts_with("-- Ran at"))
    };
    let works =
        |case: &Case| case.golden["update"]["exit"] == 0 && case.golden["update_sql"]["exit"] == 0 && !masked(case);
    Case::all("scripts").into_iter().filter(works).collect()
}

/// Preconditions are not asked in a script, and it cannot go on after a failure: it may rightly lead elsewhere than the update.
fn asks(case: &Case) -> bool {
    let file = case.directory.join(case.golden["changelog"].as_str().unwrap());
    let text = text(&std::fs::read(file).unwrap()).to_lowercase();
    ["precondition", "onvalidationfail", "failonerror"].iter().any(|word| text.contains(word))
}

#[test]
fn update_sql_leads_to_where_liquibases_leads() {
    let cases = working().into_iter().filter(|case| case.golden["update_sql"]["stdout"] != "" && !asks(case));
    let found: Vec<String> = cases.filter_map(|case| differing(&case, false, "update_sql", "update")).collect();
    assert!(found.is_empty(), "{} differences\n{}", found.len(), found.join("\n"));
}

#[test]
fn rollback_sql_leads_to_where_liquibases_leads() {
    let cases = working().into_iter().filter(|case| case.golden["rollback_sql_1"]["exit"] == 0 && !asks(case));
    let found: Vec<String> =
        cases.filter_map(|case| differing(&case, true, "rollback_sql_1", "rollback_count_1")).collect();
    assert!(found.is_empty(), "{} differences\n{}", found.len(), found.join("\n"));
}
