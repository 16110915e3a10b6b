//! The configuration files of the managed PostgreSQL: those of its own that it is started with, and those of an administrator.
//!
//! Policy: who may log in is a file of the appliance, beside the cluster and written before each start; `pg_hba.conf` and `pg_ident.conf` in the
//! cluster have no effect. `postgresql.conf` and `postgresql.auto.conf` (`ALTER SYSTEM`) are the administrator's, for tuning. If the
//! server does not start with them and does without, they are set aside under another name, and a warning says so; otherwise they
//! stay as they are.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::secret_file;

/// `pg_hba.conf`: every role may log in with its password through the socket; replication as well, for `pg_basebackup`.
const HBA: &str = "# Written by attendance-api before each start; changes are lost.\n\
    local all all scram-sha-256\n\
    local replication all scram-sha-256\n";
/// For a scratch cluster whose passwords are not known: its socket is in a directory that only this user can enter.
const TRUSTING_HBA: &str = "local all all trust\n";
const IDENT: &str = "# Written by attendance-api before each start; changes are lost.\n";
/// Stands in for a `postgresql.conf` that was set aside: the server does not start without the file.
const EMPTY_CONFIGURATION: &str = "# Written by attendance-api: the settings here before did not allow a start.\n";
/// The end of the name of a file that was set aside.
const ASIDE_SUFFIX: &str = ".unusable";

/// Why the configuration cannot be changed.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL's configuration: {path}: {source}", path = .path.display())]
pub struct Error {
    /// The file.
    path: PathBuf,
    /// The error of the file system.
    source: io::Error,
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { path: path.clone(), source }
}

/// The files of the appliance.
#[derive(Debug, Clone)]
pub(super) struct AccessFiles {
    /// Which roles may log in, and how.
    pub(super) hba: PathBuf,
    /// Names of users of the operating system; none are needed.
    pub(super) ident: PathBuf,
}

impl AccessFiles {
    /// Writes the files into `root`, the directory of the clusters, unless they are there.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn write(root: &Path) -> Result<Self, Error> {
        Self::write_with(root, HBA)
    }

    /// Writes files with which no password is needed. For a scratch cluster.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn write_trusting(root: &Path) -> Result<Self, Error> {
        Self::write_with(root, TRUSTING_HBA)
    }

    fn write_with(root: &Path, hba: &str) -> Result<Self, Error> {
        let files = Self { hba: root.join("pg_hba.conf"), ident: root.join("pg_ident.conf") };
        for (path, text) in [(&files.hba, hba), (&files.ident, IDENT)] {
            if fs::read_to_string(path).is_ok_and(|found| found == text) {
                continue;
            }
            secret_file::write(path, text).map_err(at(path))?;
        }
        Ok(files)
    }
}

/// A file of the administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `postgresql.auto.conf`
    System,
    /// `postgresql.conf`
    Main,
}

/// The sets of files to start without, in the order in which they are tried.
const ATTEMPTS: [&[Kind]; 3] = [&[Kind::System], &[Kind::Main], &[Kind::System, Kind::Main]];

/// The administrator's files of one cluster, some of which may be set aside.
#[derive(Debug)]
pub(super) struct AdministratorFiles {
    cluster: PathBuf,
    attempt: usize,
    /// The files that are aside now, each with its first name.
    aside: Vec<PathBuf>,
}

impl AdministratorFiles {
    /// The files of the cluster in `cluster`; none is aside.
    pub(super) fn new(cluster: &Path) -> Self {
        Self { cluster: cluster.to_owned(), attempt: 0, aside: Vec::new() }
    }

    /// Sets the next combination of files aside; false if there is none left, and then all are back.
    ///
    /// # Errors
    /// When a file cannot be renamed.
    pub(super) fn try_next(&mut self) -> Result<bool, Error> {
        self.restore()?;
        let Some(kinds) = ATTEMPTS.get(self.attempt) else { return Ok(false) };
        self.attempt += 1;
        for kind in *kinds {
            let path = self.cluster.join(match kind {
                Kind::System => "postgresql.auto.conf",
                Kind::Main => "postgresql.conf",
            });
            match fs::rename(&path, aside(&path)) {
                Ok(()) => self.aside.push(path.clone()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(&path)(error)),
            }
            if *kind == Kind::Main {
                secret_file::write(&path, EMPTY_CONFIGURATION).map_err(at(&path))?;
            }
        }
        Ok(true)
    }

    /// Leaves the files aside, and says so.
    pub(super) fn keep_aside(mut self, reason: &str) {
        for path in std::mem::take(&mut self.aside) {
            warn!(
                "PostgreSQL did not start with {} and runs without it; it is kept as {}: correct it there and move it back. The reason: {reason}",
                path.display(),
                aside(&path).display()
            );
        }
    }

    fn restore(&mut self) -> Result<(), Error> {
        while let Some(path) = self.aside.pop() {
            fs::rename(aside(&path), &path).map_err(at(&path))?;
        }
        Ok(())
    }
}

/// A start that is interrupted leaves the files as they were.
impl Drop for AdministratorFiles {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            warn!("{error}");
        }
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ASIDE_SUFFIX);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    fn content(cluster: &Path) -> [Option<String>; 2] {
        ["postgresql.auto.conf", "postgresql.conf"].map(|name| fs::read_to_string(cluster.join(name)).ok())
    }

    #[test]
    fn every_combination_is_tried_and_all_files_are_back_at_the_end() {
        let cluster = scratch("administrator");
        fs::write(cluster.join("postgresql.auto.conf"), "a").unwrap();
        fs::write(cluster.join("postgresql.conf"), "m").unwrap();
        let before = content(&cluster);
        let mut files = AdministratorFiles::new(&cluster);
        let mut seen = Vec::new();
        while files.try_next().unwrap() {
            seen.push(content(&cluster).map(|text| text.unwrap_or_default()));
        }
        let empty = EMPTY_CONFIGURATION;
        assert_eq!(seen, [["", "m"], ["a", empty], ["", empty]]);
        assert_eq!(content(&cluster), before);
    }

    #[test]
    fn a_missing_configuration_is_replaced_by_an_empty_one() {
        let cluster = scratch("no-configuration");
        let mut files = AdministratorFiles::new(&cluster);
        assert!(files.try_next().unwrap());
        assert!(!cluster.join("postgresql.conf").exists());
        assert!(files.try_next().unwrap());
        files.keep_aside("");
        assert_eq!(content(&cluster), [None, Some(EMPTY_CONFIGURATION.to_owned())]);
    }

    #[test]
    fn foreign_access_files_are_replaced() {
        let root = scratch("access");
        fs::write(root.join("pg_hba.conf"), "local all all trust\n").unwrap();
        let files = AccessFiles::write(&root).unwrap();
        assert_eq!(fs::read_to_string(&files.hba).unwrap(), HBA);
        assert_eq!(fs::read_to_string(&files.ident).unwrap(), IDENT);
    }
}
