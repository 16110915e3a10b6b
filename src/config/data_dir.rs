//! Which data directory is used.
//!
//! Policy: `--data-dir`, `data_dir`, systemd's `$STATE_DIRECTORY`, root's `/var/lib/attendance-api`, and last the
//! place the XDG rules name. The result is absolute, whatever the working directory becomes later.

use std::path::{Path, PathBuf};

use super::origin::Origin;
use super::problem::Problem;
use super::settings::Settings;
use super::sources::Surroundings;

/// The data directory of root.
const OF_ROOT: &str = "/var/lib/attendance-api";
/// Its name in a user's directory.
const NAME: &str = "attendance-api";

/// Chooses the data directory and writes a choice that no layer made into the settings.
pub fn choose(settings: &mut Settings, surroundings: &Surroundings) -> Option<PathBuf> {
    if let Some(path) = settings.text("data_dir").map(PathBuf::from) {
        let origin = settings.origin("data_dir").cloned().unwrap_or(Origin::Default);
        return absolute(settings, path, origin);
    }
    let Some((path, origin)) = by_rule(surroundings) else {
        settings.problems.push(Problem::NoDataDir);
        return None;
    };
    settings.choose("data_dir", &path.to_string_lossy(), origin);
    Some(path)
}

fn absolute(settings: &mut Settings, path: PathBuf, origin: Origin) -> Option<PathBuf> {
    match std::path::absolute(&path) {
        Ok(absolute) => {
            settings.choose("data_dir", &absolute.to_string_lossy(), origin);
            Some(absolute)
        }
        Err(cause) => {
            settings.problems.push(Problem::RelativeDataDir { origin, path, cause });
            None
        }
    }
}

fn by_rule(surroundings: &Surroundings) -> Option<(PathBuf, Origin)> {
    let variable = |name: &str| {
        // systemd lists several directories with colons between; relative ones are void by the XDG rules
        let value = surroundings.variable(name)?.to_str()?.split(':').next()?;
        Path::new(value).is_absolute().then(|| (PathBuf::from(value), Origin::Variable(name.to_owned())))
    };
    if let Some(state) = variable("STATE_DIRECTORY") {
        return Some(state);
    }
    if surroundings.root {
        return Some((OF_ROOT.into(), Origin::Default));
    }
    let xdg = variable("XDG_DATA_HOME").map(|(path, origin)| (path.join(NAME), origin));
    xdg.or_else(|| variable("HOME").map(|(path, _)| (path.join(".local/share").join(NAME), Origin::Default)))
}
