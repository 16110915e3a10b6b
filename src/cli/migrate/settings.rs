//! Where a run's options come from: the command line, then `-Dliquibase.…`, then the environment, then the defaults file.
//!
//! Policy: names are those of Liquibase in all their spellings (`changelog-file`, `changelogFile`, `liquibase.command.changelogFile`,
//! `LIQUIBASE_COMMAND_CHANGELOG_FILE`); see `liquibase_option.rs` for what is obeyed and what is refused. A key or variable that names
//! nothing is ignored, as in Liquibase, with a warning that names it; with `strict` it is refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use liquibase_compat::{DuplicateFiles, Locations, LockOptions, MissingProperty, Options, TagVersion};

use super::arguments::{Command, Common};
use super::liquibase_option::{LiquibaseOption, Named, OPTIONS, Support, named};
use super::target::Target;
use super::value::Value;
use crate::cli::migrate_error::Error;
use crate::cli::output;
use crate::config::Migrations;
use crate::database::migrations::LoadedChangelog;

/// The defaults file that is read where none is named.
const DEFAULTS_FILE: &str = "liquibase.properties";

/// The options of a run.
#[derive(Debug)]
pub struct Settings {
    /// The database; none is the appliance's own.
    pub target: Option<Target>,
    /// The changelog; none is the configured one, or the one built in.
    pub changelog: Option<String>,
    /// The directories that changelogs are in.
    search_path: Vec<PathBuf>,
    /// Directories that are searched in addition.
    classpath: Vec<PathBuf>,
    duplicate_files: DuplicateFiles,
    /// The contexts, where they are given.
    contexts: Option<Vec<String>>,
    /// The label filter, where it is given.
    label_filter: Option<String>,
    /// Everything else that the library takes.
    pub options: Options,
    /// How long and how often to try to take the lock.
    pub lock: LockOptions,
    /// Where standard output goes, if not there.
    pub output_file: Option<String>,
    /// The lowest level that is logged on standard error.
    pub log_level: Option<String>,
    /// No terminal is there to answer a question.
    pub is_headless: bool,
    /// An update prints its summary.
    pub shows_summary: bool,
}

impl Settings {
    /// Reads the options of this process for a command. `tag_version` is what the command itself was given.
    ///
    /// # Errors
    /// When the defaults file cannot be read, or an option cannot be understood or is not supported.
    pub fn read(given: &Common, command: &str, tag_version: Option<&str>) -> Result<Self, Error> {
        let definitions = definitions(&given.define)?;
        let mut values = Values::default();
        for (option, value) in given.liquibase.iter() {
            values.add(option, &format!("--{}", option.name), value, true)?;
        }
        if let (Some(version), Some(option)) = (tag_version, OPTIONS.iter().find(|one| one.name == "tag-version")) {
            values.add(option, "--tag-version", version, true)?;
        }
        let mut unknown = Vec::new();
        for (name, value) in definitions.iter().filter(|(name, _)| name.starts_with("liquibase.")) {
            values.add_named(name, command, &format!("-D{name}"), value, &mut unknown)?;
        }
        let mut variables: Vec<(String, String)> =
            process_properties().into_iter().filter(|(name, _)| is_setting(name)).collect();
        variables.sort();
        for (name, value) in &variables {
            values.add_named(&name.replace('_', "."), command, &format!("${name}"), value, &mut unknown)?;
        }
        let file = Defaults::read(values.get("defaults-file"), given)?;
        for (key, value) in file.settings() {
            let place = format!("{key} in {}", file.path);
            values.add_named(key, command, &place, value.trim(), &mut unknown)?;
        }
        values.report(&unknown)?;
        let mut properties = definitions;
        properties.extend(file.parameters());
        properties.extend(process_properties());
        Self::of(&values, properties)
    }

    fn of(values: &Values, properties: Vec<(String, String)>) -> Result<Self, Error> {
        let text = |name: &str| values.get(name).map(str::to_owned);
        let list = |name: &str| values.get(name).map(|text| parts(text, ','));
        let target = values
            .find("url")
            .map(|url| Target::parse(url, values.find("username"), values.find("password")))
            .transpose()?;
        let default_schema = text("default-schema-name").filter(|schema| !schema.is_empty());
        let locations = Locations::default()
            .with_default_schema(default_schema)
            .with_liquibase_schema(text("liquibase-schema-name").filter(|schema| !schema.is_empty()))
            .with_tables(text("database-changelog-table-name"), text("database-changelog-lock-table-name"));
        let tag_version =
            values.one_of("tag-version", &[("OLDEST", TagVersion::Oldest), ("NEWEST", TagVersion::Newest)])?;
        let missing_property = [
            ("PRESERVE", MissingProperty::Preserve),
            ("EMPTY", MissingProperty::Empty),
            ("ERROR", MissingProperty::Error),
        ];
        let missing_includes = values.one_of("on-missing-include-changelog", &[("FAIL", false), ("WARN", true)])?;
        let options = Options::default()
            .with_properties(properties)
            .with_locations(locations)
            .with_tag_version(tag_version.unwrap_or_default())
            .with_duplicate_ids(values.flag("allow-duplicated-changeset-identifiers")?)
            .with_missing_property(values.one_of("missing-property-mode", &missing_property)?.unwrap_or_default())
            .with_property_escaping(values.flag("support-property-escaping")?)
            .with_missing_includes(missing_includes.unwrap_or(false));
        let modes = [("ERROR", DuplicateFiles::Refuse), ("WARN", DuplicateFiles::TakeFirst)];
        let summary = values.one_of("show-summary", &[("SUMMARY", true), ("OFF", false)])?;
        let (jars, directories): (Vec<String>, Vec<String>) = values
            .get("classpath")
            .map(|text| parts(text, ':'))
            .unwrap_or_default()
            .into_iter()
            .partition(|part| !Path::new(part).is_dir());
        if !jars.is_empty() {
            output::print_warning(&format!(
                "only directories of the classpath are searched; not searched: {}",
                jars.join(", ")
            ));
        }
        Ok(Self {
            target,
            changelog: text("changelog-file"),
            search_path: list("search-path").unwrap_or_default().into_iter().map(PathBuf::from).collect(),
            classpath: directories.into_iter().map(PathBuf::from).collect(),
            duplicate_files: values.one_of("duplicate-file-mode", &modes)?.unwrap_or_default(),
            contexts: list("contexts"),
            label_filter: text("label-filter"),
            options,
            lock: lock_options(values)?,
            output_file: text("output-file"),
            log_level: text("log-level"),
            is_headless: values.flag("headless")?,
            shows_summary: summary.unwrap_or(true),
        })
    }

    /// Reads the changelog that these options name, else the one the configuration names, else the one built in.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load_changelog(&self, configured: &Migrations) -> Result<LoadedChangelog, Error> {
        let options = self
            .options
            .clone()
            .with_contexts(self.contexts.as_ref().unwrap_or(&configured.contexts))
            .with_label_filter(self.label_filter.as_ref().or(configured.labels.as_ref()).cloned().unwrap_or_default());
        let configured_path = configured.search_path.clone().filter(|_| self.search_path.is_empty());
        let directories = self.search_path.iter().cloned().chain(configured_path);
        let path = self.changelog.as_deref().or(configured.changelog.as_deref());
        Ok(LoadedChangelog::read(path, directories, &self.classpath, self.duplicate_files, options)?)
    }
}

/// The variables of this process, and the system properties of Java that have a counterpart here. In Liquibase, too, they take precedence
/// over the properties of a changelog.
fn process_properties() -> Vec<(String, String)> {
    let variable = |name: &str| std::env::var(name).ok();
    let directory = std::env::current_dir().ok().map(|path| path.display().to_string());
    let system = [
        ("user.name", variable("USER")),
        ("user.home", variable("HOME")),
        ("user.dir", directory),
        ("os.name", Some("Linux".to_owned())),
        ("file.separator", Some("/".to_owned())),
        ("path.separator", Some(":".to_owned())),
        ("line.separator", Some("\n".to_owned())),
        ("java.io.tmpdir", Some("/tmp".to_owned())),
    ];
    let system = system.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    // A variable that is not text has no value here.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.chain(system).collect()
}

/// Whether a variable is meant for Liquibase itself. The others are those of the script that starts its Java.
fn is_setting(variable: &str) -> bool {
    variable.starts_with("LIQUIBASE_") && variable != "LIQUIBASE_HOME" && !variable.starts_with("LIQUIBASE_LAUNCHER")
}

fn parts(text: &str, separator: char) -> Vec<String> {
    text.split(separator).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// `NAME=VALUE` of `-D`.
fn definitions(given: &[String]) -> Result<Vec<(String, String)>, Error> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Error::Definition(text.clone())),
    };
    given.iter().map(pair).collect()
}

fn lock_options(values: &Values) -> Result<LockOptions, Error> {
    let mut lock = LockOptions::default();
    if let Some(minutes) = values.number("changelog-lock-wait-time-in-minutes", "minutes")? {
        lock.timeout = Duration::from_secs(60 * u64::from(minutes));
    }
    if let Some(seconds) = values.number("changelog-lock-poll-rate", "seconds")? {
        lock.max_backoff = Duration::from_secs(u64::from(seconds.max(1)));
    }
    Ok(lock)
}

/// The values of all options, the ones that take precedence first.
#[derive(Debug, Default)]
struct Values {
    values: Vec<Value>,
    without_effect: Vec<String>,
}

impl Values {
    fn add(&mut self, option: &'static LiquibaseOption, place: &str, text: &str, is_flag: bool) -> Result<(), Error> {
        let refused = |remedy: String| Error::Setting { place: place.to_owned(), remedy };
        match option.support {
            Support::Obeyed => {}
            Support::OnlyAsFlag if is_flag => {}
            Support::OnlyAsFlag => return Err(refused(format!("give --{} on the command line", option.name))),
            Support::Only(accepted) if accepted.iter().any(|one| one.eq_ignore_ascii_case(text)) => {}
            Support::Only(accepted) => {
                return Err(refused(format!("remove it, or set it to {}", accepted.join(" or ").escape_debug())));
            }
            Support::NoEffect => self.without_effect.push(place.to_owned()),
            Support::Refused(remedy) => return Err(refused(remedy.to_owned())),
        }
        self.values.push(Value { option, place: place.to_owned(), text: text.to_owned() });
        Ok(())
    }

    /// Adds a value by its key. A key that names the command takes precedence over others from the same source.
    fn add_named(
        &mut self,
        key: &str,
        command: &str,
        place: &str,
        text: &str,
        unknown: &mut Vec<String>,
    ) -> Result<(), Error> {
        match named(key, command, Command::names()) {
            Named::Option(option, names_command) => {
                self.add(option, place, text, false)?;
                let source = |place: &str| place.split_once(" in ").map_or(place.starts_with('$'), |_| false);
                if names_command
                    && let Some(at) = self.values.iter().position(|other| {
                        other.option.name == option.name
                            && source(&other.place) == source(place)
                            && !other.place.starts_with('-')
                    })
                    && let Some(value) = self.values.pop()
                {
                    self.values.insert(at, value);
                }
            }
            Named::OtherCommand => {}
            Named::Unknown => unknown.push(place.to_owned()),
        }
        Ok(())
    }

    /// Names what has no effect, and refuses with `strict` what is unknown.
    fn report(&self, unknown: &[String]) -> Result<(), Error> {
        if !self.without_effect.is_empty() {
            output::print_warning(&format!("no effect on PostgreSQL: {}", self.without_effect.join(", ")));
        }
        if unknown.is_empty() {
            return Ok(());
        }
        if self.flag("strict")? {
            return Err(Error::UnknownSettings(unknown.join(", ")));
        }
        output::print_warning(&format!(
            "unknown settings are ignored, as Liquibase ignores them: {}",
            unknown.join(", ")
        ));
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|value| value.option.name == name)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|value| value.text.as_str())
    }

    fn one_of<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(value) = self.find(name) else { return Ok(None) };
        match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value.text.trim())) {
            Some((_, found)) => Ok(Some(*found)),
            None => Err(Error::Setting {
                place: value.place.clone(),
                remedy: format!("set it to {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ")),
            }),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Error> {
        Ok(self.one_of(name, &[("true", true), ("false", false)])?.unwrap_or(false))
    }

    fn number(&self, name: &str, unit: &'static str) -> Result<Option<u32>, Error> {
        let Some(value) = self.find(name) else { return Ok(None) };
        let wrong = |_| Error::Number { text: value.text.clone(), unit, place: value.place.clone() };
        value.text.trim().parse().map(Some).map_err(wrong)
    }
}

/// What the defaults file says.
#[derive(Debug, Default)]
struct Defaults {
    path: String,
    pairs: Vec<(String, String)>,
}

impl Defaults {
    fn read(named: Option<&str>, given: &Common) -> Result<Self, Error> {
        let by_itself = given.config.is_none() && Path::new(DEFAULTS_FILE).exists();
        let Some(path) = named.or_else(|| by_itself.then_some(DEFAULTS_FILE)) else {
            return Ok(Self::default());
        };
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { path: path.to_owned(), pairs: liquibase_compat::parse_properties(&text) }),
            Err(source) => Err(Error::DefaultsFile { path: path.to_owned(), source }),
        }
    }

    /// The options, the last of two equal keys first.
    fn settings(&self) -> impl Iterator<Item = (&String, &String)> {
        let others = self.pairs.iter().rev().filter(|(key, _)| !key.starts_with("parameter."));
        others.map(|(key, value)| (key, value))
    }

    /// Values for `${name}`: `parameter.name=value`.
    fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        self.pairs.iter().filter_map(|(key, value)| Some((key.strip_prefix("parameter.")?.to_owned(), value.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_properties() {
        let pairs = vec![("parameter.who".into(), "me".into()), ("driver".into(), "x".into())];
        let defaults = Defaults { path: String::new(), pairs };
        assert_eq!(defaults.parameters().collect::<Vec<_>>(), [("who".to_owned(), "me".to_owned())]);
        assert_eq!(defaults.settings().count(), 1);
    }

    #[test]
    fn the_key_of_a_command_takes_precedence_within_its_source() {
        let mut values = Values::default();
        let mut unknown = Vec::new();
        let mut add = |key: &str, place: &str, text: &str| {
            values.add_named(key, "update", place, text, &mut unknown).unwrap();
        };
        add("liquibase.command.default.schema.name", "$A", "variable");
        add("liquibase.command.update.defaultSchemaName", "b in f", "file of command");
        add("defaultSchemaName", "c in f", "file");
        add("liquibase.command.update.default.schema.name", "$D", "variable of command");
        add("bogus", "e in f", "");
        assert_eq!(values.get("default-schema-name"), Some("variable of command"));
        assert_eq!(unknown, ["e in f"]);
    }

    #[test]
    fn an_option_that_is_not_implemented_is_refused_by_its_name() {
        let mut values = Values::default();
        let mut add = |key: &str, text: &str| values.add_named(key, "update", key, text, &mut Vec::new());
        assert!(add("driver", "org.postgresql.Driver").is_ok());
        for (key, text) in [("driver", "oracle.jdbc.OracleDriver"), ("logFile", "x"), ("outputDefaultSchema", "false")]
        {
            let error = add(key, text).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
