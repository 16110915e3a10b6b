//! Where the files of this module are: `DATA/operate`, and `DATA/backups` by default.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::Error;

/// The form of a time in a name.
pub(super) const TIME_FORMAT: &str = "%Y-%m-%dT%H%M%SZ";

/// The paths below a data directory.
#[derive(Debug, Clone)]
pub struct Layout {
    data_dir: PathBuf,
}

impl Layout {
    /// Those of this data directory, which is absolute.
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The directory of this module.
    pub fn root(&self) -> PathBuf {
        self.data_dir.join("operate")
    }

    /// The directory of distributions of PostgreSQL.
    pub fn dist(&self) -> PathBuf {
        self.data_dir.join("dist")
    }

    /// The directory of the clusters.
    pub fn clusters(&self) -> PathBuf {
        self.data_dir.join("postgres")
    }

    /// The directory of backups, unless another one is configured.
    pub fn default_backups(&self) -> PathBuf {
        self.data_dir.join("backups")
    }

    /// What is known about backups.
    pub(super) fn state(&self) -> PathBuf {
        self.root().join("state.json")
    }

    /// What a restore is about to do.
    pub(super) fn journal(&self) -> PathBuf {
        self.root().join("journal.json")
    }

    /// The lock of the backup that is being made.
    pub(super) fn backup_lock(&self) -> PathBuf {
        self.root().join("backup.lock")
    }

    /// The file with the path of the control socket.
    pub(super) fn control(&self) -> PathBuf {
        self.root().join("control")
    }

    /// The directory of scratch directories.
    pub(super) fn scratch(&self) -> PathBuf {
        self.root().join("scratch")
    }

    /// Makes the directory of this module, which only this user can enter.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn prepare(&self) -> Result<(), Error> {
        make_private_dir(&self.root()).map_err(Error::at(&self.root()))
    }
}

/// Makes a directory, and missing parents, that only this user can enter.
pub(super) fn make_private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
