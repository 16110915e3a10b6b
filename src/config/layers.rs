//! The layers a configuration is made of: the defaults, one file, the environment, the flags.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file;
use super::keys::{self, Key, Secrecy, VARIABLE_PREFIX};
use super::origin::Origin;
use super::problem::Problem;
use super::settings::Settings;
use super::url;
use super::yaml::{self, Body, Entry, Node};

/// The defaults, which are also the documentation.
pub const DEFAULTS: &str = include_str!("defaults.yaml");

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<String>,
    /// `--set KEY=VALUE`, in their order.
    pub set: Vec<String>,
}

/// What surrounds the process, passed in so that a test can choose it.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The environment variables.
    pub variables: Vec<(OsString, OsString)>,
    /// Files looked for when none is named; the first that exists counts.
    pub default_files: Vec<PathBuf>,
    /// Whether the process is root's.
    pub root: bool,
}

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            default_files: vec!["config.yaml".into(), "/etc/attendance-api/config.yaml".into()],
            root: nix::unistd::geteuid().is_root(),
        }
    }

    /// None at all: the compiled-in defaults and the flags alone count.
    pub fn empty() -> Self {
        Self { root: nix::unistd::geteuid().is_root(), ..Self::default() }
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }
}

/// Lays the compiled-in defaults.
pub fn apply_defaults(settings: &mut Settings) {
    apply_document(settings, DEFAULTS, &|_| Origin::Default);
}

/// Lays the configuration file, where there is one, and says which it is.
pub fn apply_file(settings: &mut Settings, flags: &Flags, environment: &Environment) -> Option<PathBuf> {
    let path = match file::find(flags, environment) {
        Ok(path) => path?,
        Err(error) => {
            settings.problems.push(error.into());
            return None;
        }
    };
    match file::read(&path) {
        Ok(text) => {
            let shared: Arc<Path> = path.as_path().into();
            apply_document(settings, &text, &|position| Origin::File { path: Arc::clone(&shared), position });
        }
        Err(error) => settings.problems.push(error.into()),
    }
    Some(path)
}

/// Makes an origin of a position.
pub type Locate<'a> = &'a dyn Fn(yaml::Position) -> Origin;

/// Lays what a document gives, each value with the origin that `locate` makes of its position.
pub fn apply_document(settings: &mut Settings, text: &str, locate: Locate<'_>) {
    match yaml::parse(text) {
        Ok(Node { body: Body::Mapping(entries), .. }) => entries.iter().for_each(|entry| top(settings, entry, locate)),
        Ok(Node { body: Body::Null, .. }) => {}
        Ok(Node { body, position }) => settings.problems.push(Problem::NotASection {
            origin: locate(position),
            section: "the file".to_owned(),
            found: describe(&body),
        }),
        Err(error) => {
            settings.problems.push(Problem::Unreadable { origin: locate(error.position), reason: error.kind });
        }
    }
}

fn top(settings: &mut Settings, entry: &Entry, locate: Locate<'_>) {
    if !keys::is_section(&entry.key) {
        return key(settings, &entry.key, entry, locate);
    }
    match &entry.value.body {
        Body::Mapping(entries) => {
            entries.iter().for_each(|inner| key(settings, &format!("{}.{}", entry.key, inner.key), inner, locate));
        }
        Body::Null => {}
        body => settings.problems.push(Problem::NotASection {
            origin: locate(entry.value.position),
            section: entry.key.clone(),
            found: describe(body),
        }),
    }
}

fn key(settings: &mut Settings, path: &str, entry: &Entry, locate: Locate<'_>) {
    let Some(key) = Key::find(path) else {
        settings.unknown(path, locate(entry.position));
        return;
    };
    let origin = locate(entry.value.position);
    match &entry.value.body {
        Body::Null => {}
        Body::Scalar { text, plain: true } => settings.set_unquoted(key, text, origin),
        Body::Scalar { text, plain: false } => settings.set(key, text, origin),
        body => settings.problems.push(Problem::NotAValue {
            origin,
            key: key.path,
            found: describe(body),
            expected: key.kind.expected(),
        }),
    }
}

fn describe(body: &Body) -> &'static str {
    match body {
        Body::Null => "nothing",
        Body::Scalar { .. } => "a value",
        Body::Mapping(_) => "a mapping",
        Body::Sequence => "a list",
    }
}

/// Lays the environment variables.
pub fn apply_environment(settings: &mut Settings, environment: &Environment) {
    for (name, value) in &environment.variables {
        let name = name.to_string_lossy();
        if !name.starts_with(VARIABLE_PREFIX) {
            continue;
        }
        let name = name.into_owned();
        match (Key::of_variable(&name), value.to_str()) {
            (Some(key), Some(text)) => settings.set(key, text, Origin::Variable(name)),
            (Some(_), None) => settings.problems.push(Problem::VariableNotUtf8 { name }),
            (None, _) => {
                let nearest = keys::nearest_variable(&name);
                settings.problems.push(Problem::UnknownVariable { name, nearest });
            }
        }
    }
}

/// Lays the flags; the ones with a name of their own over `--set`.
pub fn apply_flags(settings: &mut Settings, flags: &Flags) {
    flags.set.iter().for_each(|text| set(settings, text));
    let named = [("server.listen", "--listen", &flags.listen), ("data_dir", "--data-dir", &flags.data_dir)];
    for (path, flag, text) in named {
        if let (Some(key), Some(text)) = (Key::find(path), text) {
            settings.set(key, text, Origin::Flag(flag));
        }
    }
}

fn set(settings: &mut Settings, text: &str) {
    let Some((path, value)) = text.split_once('=') else {
        // only what looks like a key is repeated: what follows a wrong separator may be a password
        let key = text.chars().take_while(|c| c.is_ascii_alphanumeric() || "._".contains(*c)).take(80).collect();
        settings.problems.push(Problem::BadSet { text: key });
        return;
    };
    match Key::find(path.trim()) {
        None => settings.unknown(path.trim(), Origin::Flag("--set")),
        Some(key) if exposes_secret(key, value) => {
            settings.problems.push(Problem::SecretOnCommandLine { key: key.path, variable: key.variable() })
        }
        Some(key) => settings.set(key, value, Origin::Flag("--set")),
    }
}

/// Whether this value on a command line would show a password to every user of the machine.
fn exposes_secret(key: &Key, value: &str) -> bool {
    match key.secrecy {
        Secrecy::Public => false,
        Secrecy::Secret => !value.is_empty(),
        Secrecy::UrlPassword => url::masked(value) != value && !value.is_empty(),
    }
}
