//! One recorded case: its commands run one after the other on one database.

use std::cell::RefCell;
use std::path::PathBuf;

use liquibase_compat::{
    ChangeSetId, Changelog, ChecksumVersion, DirectorySource, Error, Event, Locations, Options, ScriptHeader,
    TagVersion, UpdateTarget,
};
use serde_json::Value;

use super::{compare, copy};
use crate::support::Database;

pub(super) struct Case {
    directory: PathBuf,
    database: Database,
    golden: Value,
}

fn strings<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    value[name].as_array().map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn value(arguments: &[&str], prefix: &str) -> Option<String> {
    arguments.iter().find_map(|argument| argument.strip_prefix(prefix)).map(str::to_owned)
}

thread_local! {
    /// What `output` changes said on standard output. A test is one thread.
    static MESSAGES: RefCell<String> = const { RefCell::new(String::new()) };
}

fn keep_message(event: &Event<'_>) {
    if let Event::Output { message, target: "STDOUT" } = event {
        MESSAGES.with_borrow_mut(|all| *all += &format!("{message}\n"));
    }
}

fn take_messages() -> String {
    MESSAGES.take()
}

impl Case {
    pub(super) async fn new(directory: PathBuf, golden: Value) -> Self {
        Self { directory, database: Database::new().await, golden }
    }

    /// Runs the commands. Returns every difference from the recording.
    pub(super) async fn replay(&self) -> Vec<String> {
        let mut found = self.checksums();
        if let Some(sql) = self.golden["meta"]["pre_sql"].as_str() {
            self.database.run(sql).await;
        }
        let steps = self.golden["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rollback = steps.is_empty().then(|| &self.golden["rollback_count_1"]);
        let rollback = rollback.filter(|step| step.is_object());
        for step in std::iter::once(&self.golden["update"]).chain(steps).chain(rollback) {
            if let Some(overlay) = step["overlay"].as_str() {
                copy(&self.directory.join(overlay), &self.directory);
            }
            if let Some(sql) = step["pre_sql"].as_str() {
                self.database.run(sql).await;
            }
            let here = |difference: String| format!("after {}: {difference}", step["args"]);
            let place = self.directory.canonicalize().unwrap().display().to_string();
            if step["args"][0] == "update-sql" {
                let difference = match self.script(step).await {
                    Ok(script) => compare::script(step, &script),
                    Err(error) => compare::outcome(step, &Err(error), &place),
                };
                found.extend(difference.map(here));
                found.extend(compare::messages(step, &take_messages()).map(here));
                continue;
            }
            let Some(outcome) = self.command(step).await else { break };
            found.extend(compare::outcome(step, &outcome, &place).map(here));
            found.extend(compare::messages(step, &take_messages()).map(here));
            found.extend(compare::state(step, &self.database).await.into_iter().map(here));
        }
        found
    }

    /// The name of the changelog file.
    fn changelog(&self) -> &str {
        self.golden["changelog"].as_str().unwrap()
    }

    fn load(&self, options: &Options) -> Result<Changelog, Error> {
        Ok(Changelog::load(&DirectorySource::new(&self.directory).unwrap(), self.changelog(), options)?)
    }

    /// The options in the arguments of a command.
    fn options(&self, arguments: &[&str]) -> Options {
        let mut options = Options::default().with_observer(keep_message);
        options.locations = Locations::default()
            .with_default_schema(value(arguments, "--default-schema-name="))
            .with_liquibase_schema(value(arguments, "--liquibase-schema-name="));
        if value(arguments, "--tag-version=").as_deref() == Some("NEWEST") {
            options.tag_version = TagVersion::Newest;
        }
        for argument in arguments {
            if let Some(contexts) = argument.strip_prefix("--contexts=") {
                options.contexts = contexts.split(',').map(str::to_owned).collect();
            }
            if let Some(filter) = argument.strip_prefix("--label-filter=") {
                options.label_filter = filter.to_owned();
            }
        }
        if let Some(parameters) = self.golden["meta"]["params"].as_object() {
            let pair = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().to_owned());
            options.properties = parameters.iter().map(pair).collect();
        }
        options
    }

    /// Runs one command. `None` if the library does not have it.
    async fn command(&self, step: &Value) -> Option<Result<(), Error>> {
        let arguments = strings(step, "args");
        let options = self.options(&arguments);
        let value = |prefix: &str| arguments.iter().find_map(|argument| argument.strip_prefix(prefix));
        let changelog = match self.load(&options) {
            Ok(changelog) => changelog,
            Err(error) => return Some(Err(error)),
        };
        Some(match *arguments.first()? {
            "update" => self.database.update_with(&changelog, &options).await.map(drop),
            "rollback-count" => {
                self.database.rollback_with(&changelog, &options, value("--count=")?.parse().unwrap()).await.map(drop)
            }
            "rollback" => self.database.rollback_to_tag(&changelog, &options, value("--tag=")?).await.map(drop),
            "status" | "validate" => {
                let client = self.database.connect().await;
                liquibase_compat::status(&client, &changelog, &options).await.map(drop)
            }
            "history" => Ok(()),
            _ => return None,
        })
    }

    /// The script of `update-sql`.
    async fn script(&self, step: &Value) -> Result<String, Error> {
        let options = self.options(&strings(step, "args"));
        let changelog = self.load(&options)?;
        let mut client = self.database.connect().await;
        let header = ScriptHeader::default();
        liquibase_compat::update_sql(&mut client, &changelog, &options, &UpdateTarget::All, &header).await
    }

    /// Compares both versions of the checksum of each changeset.
    fn checksums(&self) -> Vec<String> {
        let Some(recorded) = self.golden["checksums"].as_array() else { return Vec::new() };
        let changelog = match self.load(&self.options(&strings(&self.golden["update"], "args"))) {
            Ok(changelog) => changelog,
            Err(error) => return vec![format!("checksums: {error}")],
        };
        let mut found = Vec::new();
        for entry in recorded.iter().filter(|entry| entry["sum"].as_str().is_some_and(|sum| !sum.starts_with("ERR"))) {
            let version = if entry["v"] == 8 { ChecksumVersion::V8 } else { ChecksumVersion::V9 };
            // All changesets with that id: a changelog with duplicates has checksums, too.
            let same =
                |id: &ChangeSetId| entry["id"] == id.id && entry["author"] == id.author && entry["file"] == id.file;
            let sums: Vec<String> =
                changelog.checksums(version).filter(|(id, _)| same(id)).map(|(_, sum)| sum.to_string()).collect();
            if !sums.iter().any(|sum| entry["sum"] == *sum) {
                found.push(format!("checksums {sums:?}, Liquibase: {entry}"));
            }
        }
        found
    }
}
