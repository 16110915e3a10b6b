//! The `-sql` forms: a script of ours, run by psql, leads to where Liquibase's own script leads.

use serde_json::Value;

use crate::golden::Case;
use crate::support::{Database, text};

/// A database in the state that a script starts from.
fn prepared(case: &Case, earlier: &[String]) -> Database {
    let database = Database::new();
    if let Some(sql) = case.golden["meta"]["pre_sql"].as_str() {
        database.run(sql);
    }
    earlier.iter().for_each(|script| database.script(script));
    database
}

/// Where a script leads: history, schema, data; or the database's complaint.
fn outcome(case: &Case, earlier: &[String], script: Result<String, String>) -> Value {
    let database = prepared(case, earlier);
    match script.and_then(|script| database.try_script(&script)) {
        Ok(()) => {
            serde_json::json!({ "history": database.history(), "schema": database.schema(), "data": database.data() })
        }
        Err(error) => Value::String(error),
    }
}

/// What Liquibase wrote, with the masked values filled in again.
fn recorded(script: &Value) -> String {
    let text = script["stdout"].as_str().unwrap_or_default();
    text.replace("'<DEPLOYMENT>'", "'1'").replace("<DEPLOYMENT>", "'1'").replace("<HOST>", "somewhere")
}

/// What we write.
fn ours(case: &Case, step: &Value, earlier: &[String]) -> Result<String, String> {
    let output = case.run(&prepared(case, earlier), step);
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
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

#[test]
fn update_sql_leads_to_where_liquibases_leads() {
    let mut differing = Vec::new();
    for case in working() {
        let theirs = recorded(&case.golden["update_sql"]);
        // Preconditions are not asked in a script: it may rightly fail where the update works.
        let plain =
            !theirs.is_empty() && !case.name.contains("precondition") && !case.name.contains("onvalidationfail");
        if !plain || case.name.contains("failonerror") || case.name.contains("markran") {
            continue;
        }
        let (ours, theirs) =
            (outcome(&case, &[], ours(&case, &case.golden["update_sql"], &[])), outcome(&case, &[], Ok(theirs)));
        if ours != theirs {
            differing.push(format!("{}\n   ours  {ours}\n   theirs {theirs}", case.name));
        }
    }
    assert!(differing.is_empty(), "{} differences\n{}", differing.len(), differing.join("\n"));
}

#[test]
fn rollback_sql_leads_to_where_liquibases_leads() {
    let mut differing = Vec::new();
    for case in working() {
        if case.golden["rollback_sql_1"]["exit"] != 0 || case.golden["meta"]["update_args"].is_array() {
            continue;
        }
        let name = &case.name;
        if name.contains("precondition") || name.contains("onvalidationfail") || name.contains("markran") {
            continue;
        }
        let before = vec![recorded(&case.golden["update_sql"])];
        let step = &case.golden["rollback_sql_1"];
        let (ours, theirs) =
            (outcome(&case, &before, ours(&case, step, &before)), outcome(&case, &before, Ok(recorded(step))));
        if ours != theirs {
            differing.push(format!("{name}\n   ours  {ours}\n   theirs {theirs}"));
        }
    }
    assert!(differing.is_empty(), "{} differences\n{}", differing.len(), differing.join("\n"));
}
