//! The options of a run: from the command line, else the environment, else the defaults file.
//!
//! Policy: names are those of Liquibase in all their spellings (`changelog-file`, `changelogFile`, `liquibase.command.changelogFile`,
//! `LIQUIBASE_COMMAND_CHANGELOG_FILE`). Other entries of the defaults file (driver, classpath, logging) are ignored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use liquibase_compat::Options;

use super::arguments::Common;
use super::target::Target;
use crate::cli::migrate_error::Error;
use crate::config::{Migrations, Secret};
use crate::database::migrations::LoadedChangelog;

/// The defaults file that is read if none is named.
const DEFAULTS_FILE: &str = "liquibase.properties";

/// The options of a run.
#[derive(Debug)]
pub struct Settings {
    /// The database; `None` is the appliance's own.
    pub target: Option<Target>,
    /// The changelog; `None` is the configured one, or the built-in one.
    pub changelog: Option<String>,
    /// The directories of changelogs.
    pub search_path: Vec<PathBuf>,
    /// The contexts, if they are arguments.
    pub contexts: Option<Vec<String>>,
    /// The label filter, if it is arguments.
    pub label_filter: Option<String>,
    /// Values for `${name}`.
    pub properties: Vec<(String, String)>,
    /// How long to wait for another migration, if it is arguments.
    pub lock_wait: Option<Duration>,
}

impl Settings {
    /// Reads the options of this process.
    ///
    /// # Errors
    /// If the defaults file cannot be read, or an option is malformed.
    pub fn read(arguments: &Common) -> Result<Self, Error> {
        let file = Defaults::read(arguments)?;
        let value = |flag: &Option<String>, names: &[&str]| {
            flag.clone().or_else(|| from_environment(names)).or_else(|| file.value(names))
        };
        let list =
            |text: &str| text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let password = value(&arguments.password, &["password"]).map(Secret::new);
        let target = value(&arguments.url, &["url"])
            .map(|url| Target::parse(&url, value(&arguments.username, &["username"]), password))
            .transpose()?;
        let search_path: Vec<String> =
            value(&arguments.search_path, &["search-path"]).map(|text| list(&text)).unwrap_or_default();
        let mut properties = definitions(&arguments.define)?;
        properties.extend(file.parameters());
        Ok(Self {
            target,
            changelog: value(&arguments.changelog_file, &["changelog-file"]),
            search_path: search_path.into_iter().map(PathBuf::from).collect(),
            contexts: value(&arguments.contexts, &["contexts", "context-filter"]).map(|text| list(&text)),
            label_filter: value(&arguments.label_filter, &["label-filter", "labels"]),
            properties,
            lock_wait: lock_wait(value(&arguments.lock_wait, &["changelog-lock-wait-time-in-minutes"]))?,
        })
    }

    /// Reads the changelog that these options name, else the one that the configuration names, else the built-in one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load_changelog(&self, configured: &Migrations) -> Result<LoadedChangelog, Error> {
        let options = Options::default()
            .with_contexts(self.contexts.as_ref().unwrap_or(&configured.contexts))
            .with_label_filter(self.label_filter.as_ref().or(configured.labels.as_ref()).cloned().unwrap_or_default())
            .with_properties(self.properties.iter().cloned());
        let configured_path = configured.search_path.clone().filter(|_| self.search_path.is_empty());
        let directories = self.search_path.iter().cloned().chain(configured_path);
        let path = self.changelog.as_deref().or(configured.changelog.as_deref());
        Ok(LoadedChangelog::read(path, directories, options)?)
    }
}

/// `NAME=VALUE` of `-D`.
fn definitions(arguments: &[String]) -> Result<Vec<(String, String)>, Error> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Error::Definition(text.clone())),
    };
    arguments.iter().map(pair).collect()
}

fn lock_wait(minutes: Option<String>) -> Result<Option<Duration>, Error> {
    let Some(text) = minutes else { return Ok(None) };
    let minutes: u32 = text.trim().parse().map_err(|_| Error::LockWait(text.clone()))?;
    Ok(Some(Duration::from_secs(60 * u64::from(minutes))))
}

fn from_environment(names: &[&str]) -> Option<String> {
    let variable = |name: &str| name.to_uppercase().replace('-', "_");
    names.iter().find_map(|name| {
        let command = std::env::var(format!("LIQUIBASE_COMMAND_{}", variable(name)));
        command.or_else(|_| std::env::var(format!("LIQUIBASE_{}", variable(name)))).ok()
    })
}

/// The entries of the defaults file.
#[derive(Debug, Default)]
struct Defaults(Vec<(String, String)>);

impl Defaults {
    fn read(arguments: &Common) -> Result<Self, Error> {
        let named = arguments.defaults_file.clone().or_else(|| from_environment(&["defaults-file"]));
        let is_default = arguments.url.is_none() && arguments.config.is_none() && Path::new(DEFAULTS_FILE).exists();
        let Some(path) = named.or_else(|| is_default.then(|| DEFAULTS_FILE.to_owned())) else {
            return Ok(Self::default());
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self(liquibase_compat::parse_properties(&text))),
            Err(source) => Err(Error::DefaultsFile { path, source }),
        }
    }

    fn value(&self, names: &[&str]) -> Option<String> {
        let wanted = |key: &str| names.iter().any(|name| normalized(name) == normalized(key));
        self.0.iter().rev().find(|(key, _)| wanted(key)).map(|(_, value)| value.trim().to_owned())
    }

    /// Values for `${name}`: `parameter.name=value`.
    fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().filter_map(|(key, value)| Some((key.strip_prefix("parameter.")?.to_owned(), value.clone())))
    }
}

/// A name without the differences between its spellings.
fn normalized(name: &str) -> String {
    let name = name.strip_prefix("liquibase.command.").or_else(|| name.strip_prefix("liquibase.")).unwrap_or(name);
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_name_is_found() {
        for key in ["changelog-file", "changeLogFile", "liquibase.command.changelogFile", "liquibase.changelog_file"] {
            let defaults = Defaults(vec![(key.to_owned(), "a.xml".to_owned())]);
            assert_eq!(defaults.value(&["changelog-file"]).as_deref(), Some("a.xml"), "{key}");
        }
    }

    #[test]
    fn parameters_become_properties() {
        let defaults = Defaults(vec![("parameter.who".into(), "me".into()), ("driver".into(), "x".into())]);
        assert_eq!(defaults.parameters().collect::<Vec<_>>(), [("who".to_owned(), "me".to_owned())]);
    }
}
