//! Layers → settings → configuration, with every problem found on the way.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::keys::{Secrecy, is_section};
use super::layers::{self, Environment, Flags};
use super::origin::Origin;
use super::problem::{Error, Problem, Problems};
use super::settings::{Setting, Settings};
use super::{Config, data_dir, show, typed};

/// A configuration with the knowledge where each of its values came from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read, where there is one.
    pub file: Option<PathBuf>,
    settings: Settings,
}

/// Reads every layer and makes the configuration.
///
/// # Errors
/// All problems of all layers at once; nothing has been started or written by then.
pub fn load(flags: &Flags, environment: &Environment) -> Result<Loaded, Error> {
    let mut settings = Settings::default();
    layers::apply_defaults(&mut settings);
    let file = layers::apply_file(&mut settings, flags, environment);
    layers::apply_environment(&mut settings, environment);
    layers::apply_flags(&mut settings, flags);
    let data_dir = data_dir::resolve(&mut settings, environment).unwrap_or_default();
    let config = typed::config(&mut settings, data_dir);
    let problems = std::mem::take(&mut settings.problems);
    Error::unless_empty(problems, Loaded { config, file, settings })
}

/// Whether two settings come to the same value, wherever they came from.
fn same(one: Option<&Setting>, other: Option<&Setting>) -> bool {
    one.map(Setting::value) == other.map(Setting::value)
}

impl Loaded {
    /// The configuration as YAML, with the origin of every value, secrets masked.
    pub fn show(&self) -> String {
        show::settings(&self.settings)
    }

    /// The keys whose values differ from another configuration's, in the table's order.
    pub fn changed_keys(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.settings.all().zip(other.settings.all());
        pairs.filter(|((_, mine), (_, theirs))| !same(*mine, *theirs)).map(|((key, _), _)| key.path).collect()
    }

    /// Where the listening address came from.
    pub fn listen_origin(&self) -> &Origin {
        self.settings.origin("server.listen").unwrap_or(&Origin::Default)
    }

    /// What is allowed but unwise, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        self.readable_secret().into_iter().collect()
    }

    /// Refuses services outside, for the demonstration that fills the database.
    ///
    /// # Errors
    /// One problem for each key that names such a service.
    pub fn only_managed(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        for key in ["postgres.host", "postgres.url", "redis.host", "redis.url"] {
            if let Some(origin) = self.settings.origin(key).cloned() {
                problems.push(Problem::NotForDemo { origin, key });
            }
        }
        Error::unless_empty(problems, ())
    }

    fn readable_secret(&self) -> Option<String> {
        let path = self.file.as_deref().filter(|path| readable_by_all(path))?;
        let holds_secret = |(key, setting): &(&super::keys::Key, Option<&Setting>)| {
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

fn readable_by_all(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// The documentation of every key as a configuration file in which every key is commented out: it changes nothing
/// until a `#` is removed.
pub fn template() -> String {
    layers::DEFAULTS.lines().map(|line| format!("{}\n", comment_out(line))).collect()
}

fn comment_out(line: &str) -> String {
    let body = line.trim_start();
    let section = body.strip_suffix(':').is_some_and(is_section);
    if body.is_empty() || body.starts_with('#') || section {
        return line.to_owned();
    }
    let indent = &line[..line.len() - body.len()];
    format!("{indent}#{body}")
}
