//! What the process finds around it, passed in so that a test can choose it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The file of the packaged service.
pub(super) const SERVICE_FILE: &str = "/etc/attendance-api/config.yaml";

/// The environment of the process.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The environment variables.
    pub variables: Vec<(OsString, OsString)>,
    /// Files to look for if none is named; the first that exists is read.
    pub default_files: Vec<PathBuf>,
    /// Whether the process runs as root.
    pub is_root: bool,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            default_files: vec!["config.yaml".into(), SERVICE_FILE.into()],
            is_root: nix::unistd::geteuid().is_root(),
        }
    }

    /// No variables and no files, so that only the built-in defaults and the flags count.
    pub fn empty() -> Self {
        Self { is_root: nix::unistd::geteuid().is_root(), ..Self::default() }
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }
}
