//! What the real Liquibase did with a changelog is what this crate does.
//!
//! `data/corpus/CASE` is a changelog, `data/golden/CASE.json` what Liquibase 4.28.0 did with it on an empty database: the history
//! rows, checksums among them, the schema, and the same after further commands. A case is followed up to the first command that
//! this crate does not have.

use std::path::{Path, PathBuf};

use liquibase_compat::{ChangeSetId, Changelog, ChecksumVersion, DirectorySource, Error, Options};
use serde_json::Value;

use crate::support::{Database, pg_dump};

/// What identifies a run differs from run to run, who wrote a row by definition.
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

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn strings<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    value[name].as_array().map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// The options that a command's arguments say.
fn options(case: &Value, arguments: &[&str]) -> Options {
    let mut options = Options::default();
    for argument in arguments {
        if let Some(contexts) = argument.strip_prefix("--contexts=") {
            options.contexts = contexts.split(',').map(str::to_owned).collect();
        }
        if let Some(filter) = argument.strip_prefix("--label-filter=") {
            options.label_filter = filter.to_owned();
        }
    }
    if let Some(parameters) = case["params"].as_object() {
        options.properties =
            parameters.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    }
    options
}

struct Case {
    name: String,
    directory: PathBuf,
    database: Database,
    golden: Value,
}

impl Case {
    /// Runs one command; false if this crate has none like it.
    async fn command(&self, step: &Value) -> bool {
        let arguments = strings(step, "args");
        let options = options(&self.golden["meta"], &arguments);
        let loaded = Changelog::load(&DirectorySource::new(&self.directory).unwrap(), "changelog.xml", &options);
        let changelog = loaded.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let value =
            |prefix: &str| arguments.iter().find_map(|argument| argument.strip_prefix(prefix)).unwrap_or_default();
        let done = match arguments.first() {
            Some(&"update") => self.database.update_with(&changelog, &options).await.map(drop),
            Some(&"rollback-count") => {
                self.database.rollback(&changelog, value("--count=").parse().unwrap()).await.map(drop)
            }
            Some(&"rollback") => self.database.rollback_to_tag(&changelog, value("--tag=")).await.map(drop),
            Some(&("status" | "validate")) => {
                let client = self.database.connect().await;
                liquibase_compat::status(&client, &changelog, &options).await.map(drop)
            }
            _ => return false,
        };
        self.compare_outcome(step, done);
        self.compare_history(step).await;
        if let Some(schema) = step["schema"].as_str() {
            assert_eq!(pg_dump(&self.database.name), schema, "{}: schema after {arguments:?}", self.name);
        }
        true
    }

    fn compare_outcome(&self, step: &Value, done: Result<(), Error>) {
        let expected = step["error"].as_str();
        match (done, expected) {
            (Ok(()), None) => {}
            (Err(error @ (Error::Validation(_) | Error::UnknownTag { .. })), Some(expected)) => {
                assert_eq!(error.to_string(), expected, "{}", self.name);
            }
            (Err(Error::RollbackImpossible { reason, .. }), Some(expected)) => {
                assert_eq!(reason, expected, "{}", self.name)
            }
            (Err(error), Some(expected)) => {
                let first = expected.lines().next().unwrap();
                assert_eq!(error.to_string().lines().next().unwrap(), first, "{}", self.name);
            }
            (done, expected) => panic!("{}: {done:?}, Liquibase: {expected:?}", self.name),
        }
    }

    async fn compare_history(&self, step: &Value) {
        let Some(expected) = step["databasechangelog"].as_array() else {
            return;
        };
        let list = COMPARED.iter().map(|name| format!("{name}::text")).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {list} FROM databasechangelog ORDER BY dateexecuted, orderexecuted");
        let rows = self.database.connect().await.query(&sql, &[]).await.unwrap();
        assert_eq!(rows.len(), expected.len(), "{}: rows after {:?}", self.name, step["args"]);
        for (row, expected) in rows.iter().zip(expected) {
            for (index, name) in COMPARED.iter().enumerate() {
                let wanted = match &expected[name] {
                    Value::Null => None,
                    Value::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                };
                assert_eq!(row.get::<_, Option<String>>(index), wanted, "{}: {name} of {}", self.name, expected["id"]);
            }
        }
    }

    /// Both versions of each changeset's checksum.
    fn compare_checksums(&self) {
        let options = options(&self.golden["meta"], &strings(&self.golden["update"], "args"));
        let source = DirectorySource::new(&self.directory).unwrap();
        let changelog = Changelog::load(&source, "changelog.xml", &options).unwrap();
        for (number, version) in [(8, ChecksumVersion::V8), (9, ChecksumVersion::V9)] {
            let recorded = self.golden["checksums"].as_array().unwrap().iter().filter(|entry| entry["v"] == number);
            for entry in recorded.filter(|entry| entry["sum"].is_string()) {
                // Not the first of that id: a changelog with duplicates has sums, too.
                let same = |id: &ChangeSetId| entry["id"] == id.id && entry["author"] == id.author;
                let sums: Vec<String> =
                    changelog.checksums(version).filter(|(id, _)| same(id)).map(|(_, sum)| sum.to_string()).collect();
                let recorded = entry["sum"].as_str().unwrap();
                assert!(sums.iter().any(|sum| sum == recorded), "{}: {sums:?}, {entry}", self.name);
            }
        }
    }

    async fn follow(&self) {
        self.compare_checksums();
        if let Some(sql) = self.golden["meta"]["pre_sql"].as_str() {
            self.database.run(sql).await;
        }
        assert!(self.command(&self.golden["update"]).await, "{}: {}", self.name, self.golden["update"]["args"]);
        for step in self.golden["steps"].as_array().into_iter().flatten() {
            if let Some(overlay) = step["overlay"].as_str() {
                copy(&self.directory.join(overlay), &self.directory);
            }
            if let Some(sql) = step["pre_sql"].as_str() {
                self.database.run(sql).await;
            }
            if !self.command(step).await {
                break;
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn every_recorded_case_ends_as_it_did_in_liquibase() {
    let work = std::env::temp_dir().join(format!("liquibase-compat-golden-{}", std::process::id()));
    let mut names: Vec<String> = std::fs::read_dir(data().join("corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let directory = work.join(&name);
        copy(&data().join("corpus").join(&name), &directory);
        let golden = std::fs::read_to_string(data().join("golden").join(format!("{name}.json"))).unwrap();
        let golden = serde_json::from_str(&golden).unwrap();
        Case { name, directory, database: Database::new().await, golden }.follow().await;
    }
    std::fs::remove_dir_all(work).unwrap();
}
