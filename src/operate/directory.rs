//! The directory of backups and the names in it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use nix::unistd::{AccessFlags, access, geteuid};

use super::Error;
use super::layout::{TIME_FORMAT, make_private_dir};

const PREFIX: &str = "attendance-api-";
const SUFFIX: &str = ".tar";
/// After the name of an encrypted backup.
const ENCRYPTED_SUFFIX: &str = ".age";
/// The length of a time in a name.
const TIME_CHARACTERS: usize = 18;
/// The longest label.
const MAX_LABEL: usize = 40;
/// A clock may be corrected by so many seconds between two backups.
const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// What the name of a backup says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackupName {
    /// When it was begun.
    pub(super) time: Timestamp,
    /// Its label.
    pub(super) label: Option<String>,
    /// Whether it is encrypted.
    pub(super) is_encrypted: bool,
}

impl BackupName {
    /// Reads a name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (rest, is_encrypted) = match name.strip_suffix(ENCRYPTED_SUFFIX) {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        let rest = rest.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let (time, label) = rest.split_at_checked(TIME_CHARACTERS)?;
        let time = DateTime::strptime(TIME_FORMAT, time).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let label = match label.strip_prefix('-') {
            Some(label) if !label.is_empty() => Some(label.to_owned()),
            None if label.is_empty() => None,
            _ => return None,
        };
        Some(Self { time, label, is_encrypted })
    }

    /// The name of a file.
    pub(super) fn file_name(&self) -> String {
        let label = self.label.as_deref().map(|label| format!("-{label}")).unwrap_or_default();
        let encrypted = if self.is_encrypted { ENCRYPTED_SUFFIX } else { "" };
        format!("{PREFIX}{}{label}{SUFFIX}{encrypted}", self.time.strftime(TIME_FORMAT))
    }
}

/// Refuses a label that cannot be part of a name.
pub(super) fn check_label(label: &str) -> Result<(), Error> {
    let is_valid = label.len() <= MAX_LABEL
        && label.starts_with(|c: char| c.is_ascii_alphanumeric())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_valid { Ok(()) } else { Err(Error::BadLabel { label: label.to_owned() }) }
}

/// Makes the directory if it is missing, and refuses one in which this user cannot write.
pub(super) fn prepare(directory: &Path) -> Result<(), Error> {
    if !directory.exists() {
        make_private_dir(directory).map_err(Error::at(directory))?;
        if let Some(parent) = directory.parent().filter(|_| geteuid().is_root()) {
            // A command of root works for the service, which has another user.
            let owner = fs::metadata(parent).map_err(Error::at(parent))?;
            chown(directory, Some(owner.uid()), Some(owner.gid())).map_err(Error::at(directory))?;
        }
    }
    check_writable(directory)
}

/// Refuses a directory in which this user cannot write.
pub(super) fn check_writable(directory: &Path) -> Result<(), Error> {
    let found = fs::metadata(directory).map_err(Error::at(directory))?;
    let user = geteuid();
    match access(directory, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Ok(()),
        Err(nix::errno::Errno::EACCES) if found.uid() != user.as_raw() => {
            Err(Error::OtherOwner { path: directory.to_owned(), owner: found.uid(), user: user.as_raw() })
        }
        Err(errno) => Err(Error::at(directory)(errno.into())),
    }
}

/// The backups of a directory by their names, the oldest first; none if there is no such directory.
pub(super) fn backups(directory: &Path) -> Result<Vec<(BackupName, PathBuf)>, Error> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::at(directory))?,
    };
    let mut found: Vec<(BackupName, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((BackupName::parse(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    found.sort_by(|one, other| (one.0.time, &one.1).cmp(&(other.0.time, &other.1)));
    Ok(found)
}

/// The path of the next backup; refuses a clock that is behind the newest one. A second has one name: of two backups that begin in it, one is
/// named after the next second that is free.
pub(super) fn next_path(directory: &Path, next: &BackupName) -> Result<PathBuf, Error> {
    let time = next.time;
    if let Some((newest, path)) = backups(directory)?.pop()
        && newest.time.as_second() > time.as_second() + CLOCK_TOLERANCE_SECONDS
    {
        return Err(Error::ClockSetBack { now: time.to_string(), newest: path });
    }
    let named = |seconds: i64| {
        let time = time.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(time);
        directory.join(BackupName { time, ..next.clone() }.file_name())
    };
    let free = (0..CLOCK_TOLERANCE_SECONDS).map(named).find(|path| path.symlink_metadata().is_err());
    Ok(free.unwrap_or_else(|| named(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn backups_of_one_second_have_names_of_their_own() {
        let directory = scratch("backup-names");
        let time: Timestamp = "2026-01-31T12:00:00.9Z".parse().unwrap();
        let mut names = Vec::new();
        for _ in 0..3 {
            let path = next_path(&directory, &BackupName { time, label: None, is_encrypted: false }).unwrap();
            fs::write(&path, "").unwrap();
            names.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
        let expected = ["120000Z", "120001Z", "120002Z"].map(|time| format!("attendance-api-2026-01-31T{time}.tar"));
        assert_eq!(names, expected);
    }

    #[test]
    fn a_name_has_the_time_and_the_label() {
        for (time, label, name) in [
            ("2026-01-31T12:00:00Z", None, "attendance-api-2026-01-31T120000Z.tar"),
            ("2026-01-31T12:00:00Z", Some("before-1.2"), "attendance-api-2026-01-31T120000Z-before-1.2.tar"),
        ] {
            let backup =
                BackupName { time: time.parse().unwrap(), label: label.map(str::to_owned), is_encrypted: false };
            assert_eq!(backup.file_name(), name);
            assert_eq!(BackupName::parse(name), Some(backup.clone()));
            let encrypted = BackupName { is_encrypted: true, ..backup };
            assert_eq!(BackupName::parse(&format!("{name}.age")), Some(encrypted));
        }
        for other in [
            "attendance-api-2026-01-31T120000Z",
            "attendance-api-2026-01-31T120000Z-.tar",
            "x.tar",
            "attendance-api-2026-02-31T120000Z.tar",
            "attendance-api-2026-01-31T120000Zx.tar",
        ] {
            assert_eq!(BackupName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_label_cannot_lead_out_of_the_directory() {
        for label in ["a", "before-1.2_x", "9"] {
            check_label(label).unwrap();
        }
        for label in ["", ".", "../x", "a/b", "-a", "ü", "a b", &"x".repeat(41)] {
            assert!(check_label(label).is_err(), "{label}");
        }
    }
}
