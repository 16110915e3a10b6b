//! Compares the result of a command with the recorded one.

use liquibase_compat::{ChangeSetError, Error, LoadError};
use serde_json::Value;

use crate::support::{Database, pg_dump};

/// The columns that do not depend on the run or on the program.
const COMPARED: &[&str] = &[
    "id",
    "author",
    "filename",
    "orderexecuted",
    "exectype",
    "md5sum",
    "description",
    "comments",
    "tag",
    "contexts",
    "labels",
];

/// How the outcome of a command differs from the recorded one; `None` if it does not. `place` is the directory that the recording
/// masks as `$CASE`.
pub(super) fn outcome(step: &Value, done: &Result<(), Error>, place: &str) -> Option<String> {
    let expected = step["error"].as_str();
    match (done, expected) {
        (Ok(()), None) => None,
        (Err(error), Some(expected)) if same_message(error, expected, place) => None,
        (Err(error), expected) => Some(format!("{error:?} {error}, Liquibase: {expected:?}")),
        (Ok(()), Some(expected)) => Some(format!("no error, Liquibase: {expected}")),
    }
}

/// Whether a message matches the recorded one. Messages of Liquibase itself must be equal; those of its parsers and of the JDBC
/// driver only need the same meaning.
fn same_message(error: &Error, expected: &str, place: &str) -> bool {
    let expected = &without_addresses(expected);
    match error {
        Error::Validation(errors) => {
            let said = errors.to_string();
            let unsupported = said.contains("is not supported");
            // Liquibase ends with an error of Java where this crate has a message.
            unsupported
                || expected.contains("java.lang.")
                || said.replace(place, "$CASE") == *expected
                || same_reason(&said, expected)
        }
        Error::UnknownTag { .. } => error.to_string() == *expected,
        // The recordings number the statements of a batch.
        Error::RollbackImpossible { source, .. } => {
            source.to_string().replace("(0) ", "").replace(place, "$CASE") == expected.replace("(0) ", "")
        }
        Error::ChangeSet { source, .. } => {
            let reason = source.to_string();
            // Where the statement is the same, its error and the position in it are, too.
            let is_exact = matches!(**source, ChangeSetError::Precondition(_))
                || reason.split_once(" [Failed SQL").is_some_and(|(_, sql)| expected.contains(sql));
            let first = reason.trim().lines().next().unwrap_or_default();
            let said = first.split(" [Failed SQL").next().unwrap_or_default();
            // Here the server reports what the JDBC driver finds by itself.
            let quote = said.contains("unterminated dollar-quoted") && expected.contains("Unterminated dollar quote");
            let null = expected.contains("java.lang.NullPointerException");
            // After a statement with bound values the first error is a cause.
            let cause = said.strip_prefix("liquibase.exception.DatabaseException: ").unwrap_or(said);
            let bound = expected.contains(&format!("- Caused by: {cause}"));
            error.to_string().lines().next() == expected.lines().next()
                && (!is_exact || quote || expected.contains(reason.trim()))
                && (expected.contains(said) || quote || null || bound)
        }
        Error::Load(
            error @ (LoadError::InFile { .. }
            | LoadError::UnknownReference { .. }
            | LoadError::IncompleteReference { .. }
            | LoadError::NoSql { .. }),
        ) => expected.lines().next() == error.to_string().lines().next(),
        Error::Load(_) => !expected.starts_with("Validation Failed") && !expected.starts_with("Migration failed"),
        _ => false,
    }
}

/// The message without the addresses of Java objects.
fn without_addresses(message: &str) -> String {
    let mut parts = message.split("liquibase.precondition.core.");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(" : ").map_or(part, |(_, rest)| rest))
}

/// Whether validation messages match. Liquibase throws some of them one by one, and lists the archives of its installation among
/// the places where it looked for a file.
fn same_reason(said: &str, expected: &str) -> bool {
    let reason = expected.lines().find(|line| line.contains("was not found in the configured search path"));
    said.contains(reason.map_or(expected, str::trim))
}

/// How the changesets of a script differ from the recorded ones; `None` if they do not.
pub(super) fn script(step: &Value, script: &str) -> Option<String> {
    let (ours, recorded) = (changeset_lines(script), changeset_lines(step["stdout"].as_str().unwrap_or_default()));
    (ours != recorded).then(|| format!("script:\n{}\nLiquibase:\n{}", ours.join("\n"), recorded.join("\n")))
}

/// How the messages of `output` changes differ from those before the recorded summary or script; `None` if they do not.
pub(super) fn messages(step: &Value, messages: &str) -> Option<String> {
    let printed = step["stdout"].as_str()?;
    let rest = printed.strip_prefix(messages);
    // Summaries, scripts and the answers of other commands.
    let starts = ["\nUPDATE SUMMARY", "SET SEARCH_PATH", "-- "];
    let is_end = |rest: &str| rest.trim().is_empty() || starts.iter().any(|start| rest.starts_with(start));
    let is_run =
        ["update", "update-sql", "rollback-count", "rollback"].iter().any(|command| step["args"][0] == **command);
    (is_run && !rest.is_some_and(is_end)).then(|| format!("messages:\n{messages}\nLiquibase:\n{printed}"))
}

/// The lines of the changesets in a script, without the numbers of deployments.
fn changeset_lines(script: &str) -> Vec<String> {
    let lines = script.lines().skip_while(|line| !line.starts_with("-- Changeset "));
    let lines = lines.take_while(|line| *line != "-- Release Database Lock");
    let is_kept = |line: &&str| !line.is_empty() && !line.starts_with("SET SEARCH_PATH");
    lines.filter(is_kept).map(without_deployment).collect()
}

fn without_deployment(line: &str) -> String {
    const VERSION: &str = "'4.28.0', '";
    match line.split_once(VERSION) {
        Some((row, rest)) => {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{row}{VERSION}{after}")
        }
        None => line.to_owned(),
    }
}

/// How the database differs from the recorded one; empty if it does not.
pub(super) async fn state(step: &Value, database: &Database) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(history(step, database).await);
    found.extend(lock(step, database).await);
    if let Some(expected) = step["schema"].as_str() {
        let schema = pg_dump(&database.name);
        if schema != expected && schema != redumped(expected).await {
            found.push(format!("schema:\n{schema}\nLiquibase:\n{expected}"));
        }
    }
    found.extend(data(step, database).await);
    found
}

/// A recorded schema as this PostgreSQL dumps it: releases write views differently.
async fn redumped(schema: &str) -> String {
    let copy = Database::new().await;
    copy.run(schema).await;
    pg_dump(&copy.name)
}

async fn exists(database: &Database, table: &str) -> bool {
    database.rows(&format!("SELECT to_regclass('{table}')::text AS t")).await != ["-"]
}

async fn history(step: &Value, database: &Database) -> Option<String> {
    let Some(expected) = step["databasechangelog"].as_array() else {
        let made = step.get("databasechangelog").is_some() && exists(database, "databasechangelog").await;
        let empty = !made || database.rows("SELECT * FROM databasechangelog").await.is_empty();
        return (!empty).then(|| "there is a history, Liquibase made none".to_owned());
    };
    let list = COMPARED.iter().map(|name| format!("{name}::text")).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {list} FROM databasechangelog ORDER BY dateexecuted, orderexecuted");
    if !exists(database, "databasechangelog").await {
        return Some(format!("there is no history, Liquibase: {expected:?}"));
    }
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let expected: Vec<Vec<Option<String>>> =
        expected.iter().map(|row| COMPARED.iter().map(|name| text(&row[name])).collect()).collect();
    let rows = database.connect().await.query(&sql, &[]).await.unwrap();
    let rows: Vec<Vec<Option<String>>> =
        rows.iter().map(|row| (0..COMPARED.len()).map(|index| row.get(index)).collect()).collect();
    (rows != expected).then(|| format!("history:\n{rows:?}\nLiquibase:\n{expected:?}"))
}

async fn lock(step: &Value, database: &Database) -> Option<String> {
    let expected = step["lock"].as_array()?;
    let known = exists(database, "databasechangeloglock").await;
    let rows = if known { database.rows("SELECT id, locked FROM databasechangeloglock").await } else { Vec::new() };
    let expected: Vec<String> = expected.iter().map(|row| format!("{}|{}", row["id"], row["locked"])).collect();
    (rows != expected).then(|| format!("lock: {rows:?}, Liquibase: {expected:?}"))
}

async fn data(step: &Value, database: &Database) -> Vec<String> {
    let mut found = Vec::new();
    for (table, expected) in step["data"].as_object().into_iter().flatten() {
        if table.ends_with(".databasechangelog") || table.ends_with(".databasechangeloglock") {
            continue;
        }
        // The name is recorded as SQL.
        let sql = format!("SELECT row_to_json(one_row)::text FROM {table} one_row ORDER BY one_row::text");
        let rows = match database.connect().await.query(&sql, &[]).await {
            Ok(rows) => rows,
            Err(error) => {
                found.push(format!("data of {table}: {error:?}"));
                continue;
            }
        };
        let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect();
        let same = expected.as_array().is_some_and(|expected| {
            expected.len() == rows.len() && expected.iter().zip(&rows).all(|(expected, row)| same_row(expected, row))
        });
        if !same {
            found.push(format!("data of {table}: {rows:?}, Liquibase: {expected}"));
        }
    }
    found
}

/// Whether a value is a time of the run itself. Only such times have microseconds.
fn is_run_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text == "<TIME>" || (text.len() == 26 && text.as_bytes()[19] == b'.'))
}

/// Whether a row equals the recorded one, except for times of the run.
fn same_row(expected: &Value, row: &Value) -> bool {
    match (expected.as_object(), row.as_object()) {
        (Some(expected), Some(row)) => {
            expected.len() == row.len()
                && expected.iter().all(|(name, value)| is_run_time(value) || row.get(name) == Some(value))
        }
        _ => expected == row,
    }
}
