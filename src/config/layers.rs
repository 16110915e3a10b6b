//! The layers of a configuration, from the lowest to the highest: defaults, file, environment, flags.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::Environment;
use super::file;
use super::flags::Flags;
use super::key::{Key, Secrecy, VARIABLE_PREFIX};
use super::origin::Origin;
use super::problem::Problem;
use super::settings::Settings;
use super::url;
use super::yaml::{self, Content, Entry, Node};

/// The longest part of a malformed `--set` that a message repeats, in characters.
const MAX_SHOWN: usize = 80;

/// Sets the declared defaults.
pub fn apply_defaults(settings: &mut Settings) {
    for key in settings.table.keys() {
        if let Some(text) = key.default {
            settings.set(key, text, Origin::Default);
        }
    }
}

/// Reads the configuration file, if there is one, and returns its path.
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

/// Makes an origin of a position in a document.
pub type Locate<'a> = &'a dyn Fn(yaml::Position) -> Origin;

/// Sets what a YAML document contains; `locate` makes an origin of a position.
pub fn apply_document(settings: &mut Settings, text: &str, locate: Locate<'_>) {
    match yaml::parse(text) {
        Ok(Node { content: Content::Mapping(entries), .. }) => {
            entries.iter().for_each(|entry| set_entry(settings, &entry.key, entry, locate))
        }
        Ok(Node { content: Content::Null, .. }) => {}
        Ok(Node { content, position }) => settings.problems.push(Problem::NotASection {
            origin: locate(position),
            section: "the file".to_owned(),
            found: describe(&content),
        }),
        Err(error) => {
            settings.problems.push(Problem::Unreadable { origin: locate(error.position), source: error.kind });
        }
    }
}

/// Sets the key of this path, or the keys of the section. Recursion is bounded by the parser's nesting limits.
fn set_entry(settings: &mut Settings, path: &str, entry: &Entry, locate: Locate<'_>) {
    if !settings.table.is_section(path) {
        return set_key(settings, path, entry, locate);
    }
    match &entry.value.content {
        Content::Mapping(entries) => {
            entries.iter().for_each(|inner| set_entry(settings, &format!("{path}.{}", inner.key), inner, locate));
        }
        Content::Null => {}
        content => settings.problems.push(Problem::NotASection {
            origin: locate(entry.value.position),
            section: path.to_owned(),
            found: describe(content),
        }),
    }
}

fn set_key(settings: &mut Settings, path: &str, entry: &Entry, locate: Locate<'_>) {
    let Some(key) = settings.table.find(path) else {
        settings.report_unknown(path, locate(entry.position));
        return;
    };
    let origin = locate(entry.value.position);
    match &entry.value.content {
        Content::Null => {}
        Content::Scalar { text, plain: true } => settings.set_unquoted(key, text, origin),
        Content::Scalar { text, plain: false } => settings.set(key, text, origin),
        Content::Sequence(items) if key.kind.is_list() => set_list(settings, key, items, locate, origin),
        content => settings.problems.push(Problem::NotAValue {
            origin,
            key: key.path,
            found: describe(content),
            expected: key.kind.expected(),
        }),
    }
}

/// Sets a key whose value is a list, in the form in which a variable would have it.
fn set_list(settings: &mut Settings, key: &'static Key, items: &[Node], locate: Locate<'_>, origin: Origin) {
    let mut texts = Vec::new();
    for item in items {
        match &item.content {
            Content::Scalar { text, .. } => texts.push(text.as_str()),
            content => {
                return settings.problems.push(Problem::NotAnItem {
                    origin: locate(item.position),
                    key: key.path,
                    found: describe(content),
                    expected: key.kind.expected(),
                });
            }
        }
    }
    settings.set(key, &texts.join(", "), origin);
}

fn describe(content: &Content) -> &'static str {
    match content {
        Content::Null => "nothing",
        Content::Scalar { .. } => "a value",
        Content::Mapping(_) => "a mapping",
        Content::Sequence(_) => "a list",
    }
}

/// Sets what the environment variables contain.
pub fn apply_environment(settings: &mut Settings, environment: &Environment) {
    for (name, value) in &environment.variables {
        let name = name.to_string_lossy();
        if !name.starts_with(VARIABLE_PREFIX) {
            continue;
        }
        let name = name.into_owned();
        match (settings.table.find_variable(&name), value.to_str()) {
            (Some(key), Some(text)) => settings.set(key, text, Origin::Variable(name)),
            (Some(_), None) => settings.problems.push(Problem::VariableNotUtf8 { name }),
            (None, _) => {
                let nearest = settings.table.nearest_variable(&name);
                settings.problems.push(Problem::UnknownVariable { name, nearest });
            }
        }
    }
}

/// Sets what the flags contain; a flag of its own name counts more than `--set`.
pub fn apply_flags(settings: &mut Settings, flags: &Flags) {
    flags.set.iter().for_each(|text| set_argument(settings, text));
    let named = [("server.listen", "--listen", &flags.listen), ("data_dir", "--data-dir", &flags.data_dir)];
    for (path, flag, text) in named {
        if let (Some(key), Some(text)) = (settings.table.find(path), text) {
            settings.set(key, text, Origin::Flag(flag));
        }
    }
}

fn set_argument(settings: &mut Settings, text: &str) {
    let Some((path, value)) = text.split_once('=') else {
        // Only the part that looks like a key is repeated, because the text after a wrong separator may be a password.
        let key = text.chars().take_while(|c| c.is_ascii_alphanumeric() || "._".contains(*c)).take(MAX_SHOWN).collect();
        settings.problems.push(Problem::BadSet { text: key });
        return;
    };
    match settings.table.find(path.trim()) {
        None => settings.report_unknown(path.trim(), Origin::Flag("--set")),
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
