//! Which data directory is used.
//!
//! Policy: `--data-dir`, `data_dir`, systemd's `$STATE_DIRECTORY`, root's `/var/lib/attendance-api`, and last the directory of the
//! XDG Base Directory Specification. The result is absolute, so it stays the same if the working directory changes later.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::environment::Environment;
use super::key::Key;
use super::kind::Kind;
use super::origin::Origin;
use super::problem::{Problem, UnusableName};
use super::settings::Settings;
use super::table::Section;

/// The keys at the top level.
pub(super) static SECTION: Section = Section {
    name: None,
    documentation: "",
    groups: &[&[Key::new(
        "data_dir",
        Kind::Path,
        " The directory of the database, of the unpacked PostgreSQL and of the lock. An absolute path, or one relative to the
 working directory. When not set: systemd's $STATE_DIRECTORY; for root /var/lib/attendance-api; else
 $XDG_DATA_HOME/attendance-api, which usually is ~/.local/share/attendance-api.
",
    )]],
};

/// PostgreSQL's limit for a path is 1024 bytes; the longest below the data directory has about 150.
const MAX_BYTES: usize = 800;
/// The data directory of root.
const ROOT_DIR: &str = "/var/lib/attendance-api";
/// The name of the data directory in a user's directory.
const NAME: &str = "attendance-api";

/// Works out the data directory and writes it into the settings, for `config show`.
pub fn resolve(settings: &mut Settings, environment: &Environment) -> Option<PathBuf> {
    let configured: Option<PathBuf> = settings.read("data_dir")?;
    if let Some(path) = configured {
        let origin = settings.origin("data_dir").cloned().unwrap_or(Origin::Default);
        return absolute(settings, path, origin);
    }
    let Some((path, origin)) = default_dir(environment) else {
        settings.problems.push(Problem::NoDataDir);
        return None;
    };
    usable(settings, path, origin)
}

/// Writes the directory into the settings, if PostgreSQL can work in it.
fn usable(settings: &mut Settings, path: PathBuf, origin: Origin) -> Option<PathBuf> {
    let reason = match path.to_str() {
        None => Some(UnusableName::NotUtf8),
        Some(text) if text.chars().any(char::is_control) => Some(UnusableName::ControlCharacter),
        Some(text) if text.len() > MAX_BYTES => Some(UnusableName::TooLong(MAX_BYTES)),
        Some(text) => {
            settings.set_resolved("data_dir", text, origin.clone());
            None
        }
    };
    if let Some(reason) = reason {
        settings.problems.push(Problem::UnusableDataDir { origin, path, reason });
        return None;
    }
    Some(path)
}

fn absolute(settings: &mut Settings, path: PathBuf, origin: Origin) -> Option<PathBuf> {
    match std::path::absolute(&path) {
        Ok(absolute) => usable(settings, absolute, origin),
        Err(source) => {
            settings.problems.push(Problem::RelativeDataDir { origin, path, source });
            None
        }
    }
}

fn default_dir(environment: &Environment) -> Option<(PathBuf, Origin)> {
    // systemd separates several directories by colons.
    let first_of_several = |text: &OsStr| std::env::split_paths(text).next();
    if let Some(path) = absolute_variable(environment, "STATE_DIRECTORY", first_of_several) {
        return Some((path, Origin::Variable("STATE_DIRECTORY".to_owned())));
    }
    if environment.is_root {
        return Some((ROOT_DIR.into(), Origin::Default));
    }
    let whole = |text: &OsStr| Some(PathBuf::from(text));
    if let Some(path) = absolute_variable(environment, "XDG_DATA_HOME", whole) {
        return Some((path.join(NAME), Origin::Variable("XDG_DATA_HOME".to_owned())));
    }
    let home = absolute_variable(environment, "HOME", whole)?;
    Some((home.join(".local/share").join(NAME), Origin::Default))
}

/// The directory that a variable names; the XDG specification says that a relative one must be ignored.
fn absolute_variable(
    environment: &Environment,
    name: &str,
    read: impl Fn(&OsStr) -> Option<PathBuf>,
) -> Option<PathBuf> {
    environment.variable(name).and_then(read).filter(|path| path.is_absolute())
}
