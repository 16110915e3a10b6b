//! Replays each recorded case with the binary: update, further steps, rollback.
//!
//! After each command it compares exit status, error, standard output, history, lock, schema and data. Errors about a changelog that
//! cannot be read have messages of this program, so for them only the exit status is compared.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::recording::copy;
use crate::support::{Database, scratch, text, without_times};

/// How the messages of Liquibase begin for a changelog that it cannot read.
const READ_ERROR_PREFIXES: &[&str] = &[
    "Error parsing",
    "Unexpected formatting",
    "The file ",
    "Unable to locate",
    "com.example",
    "No SQL",
    "For input string",
];

/// Cases whose messages differ: that of the server instead of the JDBC driver, a statement without the `;` that Liquibase shows, a
/// changeset without an author, which this program refuses before it runs, errors that Liquibase throws one by one and this program
/// collects, errors of Java, an error whose place this program adds, errors of statements whose values Liquibase binds, and changelogs that cannot be
/// decoded.
const DIFFERENT_MESSAGES: &[&str] = &[
    "sql-dollar-quotes",
    "err-loaddata-comment-header",
    "yaml-no-author",
    "own-err-fk-no-name",
    "own-rollback-unknown-ref",
    "own-err-sql-rollback-reference-path",
    "own-err-yaml-update-column-nameless",
    "own-err-yaml-update-columns-empty",
    "own-err-load-sequence-bound",
    "own-err-load-sequence-clob",
    "own-err-insert-sequence-bound",
    "own-err-update-sequence-bound",
    "own-err-xsd-run-order-case",
    "own-err-bom-of-procedure",
    "own-err-bom-of-view",
    "own-err-bom-utf16le-utf16",
    "own-err-bom-utf8-utf16le",
    "own-err-encoding-xml-unknown",
    "own-err-encoding-yaml-invalid",
    "own-err-encoding-yaml-utf32",
];

/// Cases whose summary differs: Liquibase counts two changesets with one identity as one.
const DIFFERENT_SUMMARIES: &[&str] = &["own-duplicate-ids-in-contexts", "own-duplicate-ids-in-labels"];

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("liquibase-compat/tests/data")
}

/// One recorded case, with its files in a directory of its own.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    pub(crate) golden: Value,
}

impl Case {
    /// All cases in the order of their names. `$ATTENDANCE_TEST_CASES` selects those whose name begins with its value.
    pub(crate) fn all(purpose: &str) -> Vec<Self> {
        let mut names: Vec<String> = std::fs::read_dir(data().join("corpus"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let wanted = std::env::var("ATTENDANCE_TEST_CASES").unwrap_or_default();
        names.retain(|name| name.starts_with(&wanted));
        names.sort();
        names.into_iter().map(|name| Self::read(name, purpose)).collect()
    }

    fn read(name: String, purpose: &str) -> Self {
        let directory = scratch(&format!("{purpose}-{name}"));
        copy(&data().join("corpus").join(&name), &directory);
        let golden = std::fs::read_to_string(data().join("golden").join(format!("{name}.json"))).unwrap();
        Self { golden: serde_json::from_str(&golden).unwrap(), name, directory }
    }

    /// The arguments of every command.
    pub(crate) fn common(&self) -> Vec<String> {
        let mut arguments = vec![format!("--changelog-file={}", self.golden["changelog"].as_str().unwrap())];
        for (name, value) in self.golden["meta"]["params"].as_object().into_iter().flatten() {
            arguments.push(format!("-D{name}={}", value.as_str().unwrap()));
        }
        arguments
    }

    /// Runs the command of a recorded step.
    pub(crate) fn run(&self, database: &Database, step: &Value) -> std::process::Output {
        let mut arguments = self.common();
        arguments.extend(step["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()));
        database.migrate(&self.directory, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Replays the case. Returns every difference from the recording.
    fn replay(&self) -> Vec<String> {
        let database = Database::new();
        if let Some(sql) = self.golden["meta"]["pre_sql"].as_str() {
            database.run(sql);
        }
        let mut found = self.step(&database, &self.golden["update"]);
        for step in self.golden["steps"].as_array().into_iter().flatten() {
            if let Some(overlay) = step["overlay"].as_str() {
                copy(&self.directory.join(overlay), &self.directory);
            }
            if let Some(sql) = step["pre_sql"].as_str() {
                database.run(sql);
            }
            found.extend(self.step(&database, step));
        }
        if self.golden["rollback_count_1"].is_object() {
            found.extend(self.step(&database, &self.golden["rollback_count_1"]));
        }
        found
    }

    fn step(&self, database: &Database, step: &Value) -> Vec<String> {
        let output = self.run(database, step);
        let mut found = Vec::new();
        let mut compare = |what: &str, got: Value, expected: &Value| {
            if got != *expected {
                found.push(format!("{}: {}: {what}\n   ours  {got}\n   theirs {expected}", self.name, step["args"]));
            }
        };
        compare("exit status", output.status.code().into(), &step["exit"]);
        let stderr = text(&output.stderr);
        let mut is_read_error = false;
        if let Some(expected) = step["error"].as_str() {
            let ours = stderr.split_once("Unexpected error running Liquibase: ").map_or("", |(_, error)| error.trim());
            is_read_error = READ_ERROR_PREFIXES.iter().any(|start| expected.starts_with(start))
                || expected.contains("was not found in");
            is_read_error |= DIFFERENT_MESSAGES.contains(&self.name.as_str());
            if !is_read_error {
                compare("error", masked(ours, database).into(), &masked(expected, database).into());
            }
        }
        // The tests of liquibase-compat compare the changesets of scripts, and `scripts.rs` runs whole ones.
        let is_script = step["args"][0].as_str().is_some_and(|command| command.ends_with("-sql"));
        if !is_read_error && !is_script && !DIFFERENT_SUMMARIES.contains(&self.name.as_str()) {
            compare(
                "standard output",
                stdout(&text(&output.stdout), database).into(),
                &stdout(step["stdout"].as_str().unwrap_or_default(), database).into(),
            );
        }
        let has_history = database.has_history();
        // A changelog that Liquibase cannot read may fail here in validation, after the tables are created.
        if !is_read_error {
            compare("the Liquibase tables", has_history.into(), &step["databasechangelog"].is_array().into());
        }
        if let Some(expected) = step["databasechangelog"].as_array().filter(|_| has_history) {
            let expected: Vec<Value> = expected.iter().map(without_writer).collect();
            compare("history", database.history().into(), &expected.into());
            compare("lock", database.rows("SELECT * FROM databasechangeloglock").into(), &step["lock"]);
        }
        let recorded = plain_views(step["schema"].as_str().unwrap_or_default());
        compare("schema", plain_views(&database.schema()).into(), &recorded.into());
        compare("data", database.data(), &sorted(&step["data"]));
        found
    }
}

/// The schema, with column names in views without their table: PostgreSQL 15, on which the cases were recorded, writes the table, and
/// PostgreSQL 16 does not.
pub(crate) fn plain_views(schema: &str) -> String {
    let mut in_view = false;
    let mut lines = Vec::new();
    for line in schema.lines() {
        in_view |= line.starts_with("CREATE VIEW") || line.starts_with("CREATE MATERIALIZED VIEW");
        let first = line.starts_with("CREATE");
        lines.push(if in_view && !first && !line.contains("FROM") { without_tables(line) } else { line.to_owned() });
        in_view &= !line.ends_with(';');
    }
    lines.join("\n")
}

/// Replaces every `t.a` by `a`.
fn without_tables(line: &str) -> String {
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '"');
    let parts: Vec<&str> = line.split('.').collect();
    let last = parts.len() - 1;
    let plain = |(index, part): (usize, &&str)| {
        let part: &str = part;
        if index < last { part.trim_end_matches(name).to_owned() } else { part.to_owned() }
    };
    parts.iter().enumerate().map(plain).collect()
}

fn without_writer(row: &Value) -> Value {
    let mut row = row.clone();
    row.as_object_mut().unwrap().remove("liquibase");
    row
}

fn sorted(data: &Value) -> Value {
    let mut data = data.clone();
    for (_, rows) in data.as_object_mut().into_iter().flatten() {
        let rows = rows.as_array_mut().unwrap();
        rows.iter_mut().for_each(without_times);
        rows.sort_by_key(ToString::to_string);
    }
    data
}

/// The text without the parts that differ from run to run.
fn masked(text: &str, database: &Database) -> String {
    let text = without_addresses(&text.replace(&database.name, "$DB"));
    // The rows that PostgreSQL quotes contain times and deployment ids.
    match text.split_once("Failing row contains") {
        Some((before, _)) => before.to_owned(),
        None => text,
    }
}

/// A message without the addresses of Java objects.
fn without_addresses(message: &str) -> String {
    let mut parts = message.split("liquibase.precondition.core.");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(" : ").map_or(part, |(_, rest)| rest))
}

/// Standard output with the address of the database, times and deployment ids masked.
fn stdout(text: &str, database: &Database) -> String {
    let address = database.url().replace(&database.name, "");
    let text = text
        .replace(&address, "URL/")
        .replace(&database.name, "$DB")
        .replace("jdbc:postgresql://127.0.0.1:15442/", "URL/");
    // The width of a table depends on the time.
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mask = |line: &str| match line.split('|').collect::<Vec<_>>()[..] {
        _ if line.starts_with("+-") => "+-".to_owned(),
        ["", _, _, ref rest @ ..] => squeezed(&format!("| * | * |{}", rest.join("|"))),
        _ => line.to_owned(),
    };
    let mut lines: Vec<String> = text.lines().map(mask).collect();
    // Liquibase prints the message of an output change twice.
    lines.dedup_by(|next, before| next == before && !next.is_empty() && !next.starts_with("+-"));
    lines.join("\n")
}

#[test]
fn every_recorded_case_has_the_result_of_liquibase() {
    let cases = Case::all("golden");
    let differing: Vec<String> = cases.iter().flat_map(Case::replay).collect();
    assert!(differing.is_empty(), "{} differences\n{}", differing.len(), differing.join("\n"));
}
