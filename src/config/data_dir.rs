//! Which data directory is used.
//!
//! Policy: `--data-dir`, `data_dir`, systemd's `$STATE_DIRECTORY`, root's `/var/lib/attendance-api`, and last the
//! position the XDG rules name. The result is absolute, whatever the working directory becomes later.

use std::path::PathBuf;

use super::layers::Environment;
use super::origin::Origin;
use super::problem::Problem;
use super::settings::Settings;

/// The data directory of root.
const OF_ROOT: &str = "/var/lib/attendance-api";
/// Its name in a user's directory.
const NAME: &str = "attendance-api";

/// Chooses the data directory and writes a choice that no layer made into the settings.
pub fn resolve(settings: &mut Settings, environment: &Environment) -> Option<PathBuf> {
    if let Some(path) = settings.text("data_dir").map(PathBuf::from) {
        let origin = settings.origin("data_dir").cloned().unwrap_or(Origin::Default);
        return absolute(settings, path, origin);
    }
    let Some((path, origin)) = by_rule(environment) else {
        settings.problems.push(Problem::NoDataDir);
        return None;
    };
    settings.set_resolved("data_dir", &path.to_string_lossy(), origin);
    Some(path)
}

fn absolute(settings: &mut Settings, path: PathBuf, origin: Origin) -> Option<PathBuf> {
    match std::path::absolute(&path) {
        Ok(absolute) => {
            settings.set_resolved("data_dir", &absolute.to_string_lossy(), origin);
            Some(absolute)
        }
        Err(cause) => {
            settings.problems.push(Problem::RelativeDataDir { origin, path, cause });
            None
        }
    }
}

fn by_rule(environment: &Environment) -> Option<(PathBuf, Origin)> {
    // systemd separates several directories by colons
    let first_of_several = |text: &str| text.split(':').next().map(PathBuf::from);
    if let Some(path) = absolute_variable(environment, "STATE_DIRECTORY", first_of_several) {
        return Some((path, Origin::Variable("STATE_DIRECTORY".to_owned())));
    }
    if environment.root {
        return Some((OF_ROOT.into(), Origin::Default));
    }
    let whole = |text: &str| Some(PathBuf::from(text));
    if let Some(path) = absolute_variable(environment, "XDG_DATA_HOME", whole) {
        return Some((path.join(NAME), Origin::Variable("XDG_DATA_HOME".to_owned())));
    }
    let home = absolute_variable(environment, "HOME", whole)?;
    Some((home.join(".local/share").join(NAME), Origin::Default))
}

/// The directory a variable names; by the XDG rules one that is not absolute is void.
fn absolute_variable(environment: &Environment, name: &str, read: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    environment.variable(name)?.to_str().and_then(read).filter(|path| path.is_absolute())
}
