//! The private directory for Unix sockets.
//!
//! Policy: systemd's runtime directory if there is one, else `DATA/run`; if the path of the socket would be too
//! long for the kernel, a directory below the system's temporary directory. All users can write there, so it is used only if it is
//! a real directory, belongs to this user and is closed to others.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// The kernel's limit for the path of a Unix socket, in bytes.
const MAX_SOCKET_PATH: usize = 107;

/// Why there is no directory for a socket.
#[derive(Debug, thiserror::Error)]
#[error("there is no private directory for a Unix socket: {path}: {source}", path = .path.display())]
pub struct Error {
    /// The last directory that was tried.
    path: PathBuf,
    /// Why it cannot be used.
    source: io::Error,
}

/// Finds or makes the directory for a socket with the name `file_name`.
///
/// # Errors
/// When none of the directories can be used.
pub fn find(data_dir: &Path, file_name: &str) -> Result<PathBuf, Error> {
    let systemd = std::env::var_os("RUNTIME_DIRECTORY").filter(|dirs| !dirs.is_empty());
    // systemd separates several directories with a colon; the first one is used.
    let systemd = systemd.and_then(|dirs| std::env::split_paths(&dirs).next()).map(|dir| dir.join("sockets"));
    find_among(systemd.into_iter().chain(own_candidates(data_dir)), data_dir, file_name)
}

/// Finds or makes a directory that belongs to `directory` alone, for a socket with the name `file_name`.
///
/// # Errors
/// When none of the directories can be used.
pub(super) fn find_below(directory: &Path, file_name: &str) -> Result<PathBuf, Error> {
    find_among(own_candidates(directory).into_iter(), directory, file_name)
}

fn own_candidates(directory: &Path) -> [PathBuf; 2] {
    [directory.join("run"), std::env::temp_dir().join(temporary_name(directory))]
}

fn find_among(candidates: impl Iterator<Item = PathBuf>, data_dir: &Path, file_name: &str) -> Result<PathBuf, Error> {
    let mut last = None;
    for path in candidates {
        if path.join(file_name).as_os_str().as_bytes().len() > MAX_SOCKET_PATH {
            last = Some(Error { path, source: io::Error::other("the path is too long for a socket") });
            continue;
        }
        match make_private(&path) {
            Ok(()) => return Ok(path),
            Err(source) => last = Some(Error { path, source }),
        }
    }
    let nowhere = || Error { path: data_dir.to_owned(), source: io::ErrorKind::NotFound.into() };
    Err(last.unwrap_or_else(nowhere))
}

/// Derived from the data directory, so that every start uses one directory and two data directories use different ones.
fn temporary_name(data_dir: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    format!("attendance-api-{}-{:016x}", geteuid(), hasher.finish())
}

fn make_private(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let found = path.symlink_metadata()?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Err(io::Error::other("it exists and is not a directory of this user"));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    const SOCKET: &str = ".s.PGSQL.5432";

    #[test]
    fn the_directory_is_below_the_data_directory_and_private() {
        let data = scratch("run");
        fs::create_dir(data.join("run")).unwrap();
        assert_eq!(find(&data, SOCKET).unwrap(), data.join("run"));
        assert_eq!(fs::metadata(data.join("run")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_temporary_directory_is_used_if_the_path_is_too_long() {
        let dir = scratch("long");
        let data = dir.join("x".repeat(110));
        fs::create_dir(&data).unwrap();
        let found = find(&data, SOCKET).unwrap();
        assert!(!found.starts_with(&data));
        assert_eq!(found, find(&data, SOCKET).unwrap());
        fs::remove_dir(found).unwrap();
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let base = scratch("link");
        fs::create_dir(base.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(base.join("elsewhere"), base.join("run")).unwrap();
        assert!(make_private(&base.join("run")).is_err());
    }
}
