//! Loads the configuration: layers → settings → [`Config`], with every problem found on the way.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::config::{Config, TABLE};
use super::environment::{Environment, SERVICE_FILE};
use super::flags::Flags;
use super::key::{Key, Secrecy};
use super::origin::Origin;
use super::problem::{Error, Problem, Problems};
use super::settings::{Setting, Settings};
use super::{layers, show};

/// A configuration and the origin of each of its values.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
    settings: Settings,
}

/// The keys whose values differ between two configurations, in the table's order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that change without a restart.
    pub reloadable: Vec<&'static str>,
    /// Keys that need a restart.
    pub need_restart: Vec<&'static str>,
}

/// Reads every layer and makes the configuration. Starts and writes nothing.
///
/// # Errors
/// All problems of all layers at once.
pub fn load(flags: &Flags, environment: &Environment) -> Result<Loaded, Error> {
    let mut settings = Settings::new(&TABLE);
    layers::apply_defaults(&mut settings);
    let file = layers::apply_file(&mut settings, flags, environment);
    layers::apply_environment(&mut settings, environment);
    layers::apply_flags(&mut settings, flags);
    let config = Config::resolve(&mut settings, environment);
    let problems = std::mem::take(&mut settings.problems);
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, file, settings }),
        _ => Err(problems.into()),
    }
}

impl Loaded {
    /// The configuration as YAML, with the origin of every value and with secrets masked.
    pub fn show(&self) -> String {
        show::render(&self.settings)
    }

    /// What differs in another configuration.
    pub fn changes(&self, other: &Self) -> Changes {
        let mut changes = Changes::default();
        for ((key, mine), (_, theirs)) in self.settings.all().zip(other.settings.all()) {
            // Only the values are compared: a value that moved to another layer has not changed.
            if mine.map(Setting::value) != theirs.map(Setting::value) {
                let list = if key.is_reloadable { &mut changes.reloadable } else { &mut changes.need_restart };
                list.push(key.path);
            }
        }
        changes
    }

    /// Where the listening address came from.
    pub fn listen_origin(&self) -> &Origin {
        self.settings.origin("server.listen").unwrap_or(&Origin::Default)
    }

    /// Whether a variable or a flag of this command says where to listen.
    pub fn is_listen_explicit(&self) -> bool {
        matches!(self.listen_origin(), Origin::Variable(_) | Origin::Flag(_))
    }

    /// Whether it can be the configuration of the packaged service.
    pub fn is_of_service(&self) -> bool {
        self.file.as_deref().is_none_or(|path| path == Path::new(SERVICE_FILE))
    }

    /// What is allowed but unwise, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        self.readable_secret().into_iter().collect()
    }

    /// Rejects external services, for the demonstration, which fills the database with sample records.
    ///
    /// # Errors
    /// One problem for each key that names such a service.
    pub fn require_managed(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        for key in ["postgres.host", "postgres.url", "redis.host", "redis.url"] {
            if let Some(origin) = self.settings.origin(key).cloned() {
                problems.push(Problem::NotForDemo { origin, key });
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
    }

    fn readable_secret(&self) -> Option<String> {
        let path = self.file.as_deref().filter(|path| is_readable_by_all(path))?;
        let holds_secret = |(key, setting): &(&Key, Option<&Setting>)| {
            let Some(setting) = setting else { return false };
            key.secrecy != Secrecy::Public
                && setting.shown(key).is_some_and(|shown| shown.contains("***"))
                && matches!(setting.origin, Origin::File { .. })
        };
        let (key, _) = self.settings.all().find(holds_secret)?;
        let path = path.display();
        Some(format!("every user of this machine can read {path}, which holds {}; run chmod 640 {path}", key.path))
    }
}

fn is_readable_by_all(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
