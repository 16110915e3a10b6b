//! Makes the data directory and its permissions.
//!
//! Policy: its mode is 0700. A directory of root gets a new owner only if it is empty or contains nothing but
//! the entries of an appliance, so that a mistyped `--data-dir /home` changes nothing; see `data_dir_owner`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

/// The entries that an appliance makes in its data directory.
pub(super) const GIVEN_ENTRIES: [&str; 7] = ["lock", "dist", "postgres", "run", "cache", "operate", "backups"];
/// A file system has this directory in its root; it remains root's.
const FILE_SYSTEM_ENTRY: &str = "lost+found";

/// Why a directory cannot be the data directory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made, read or changed.
    #[error("the data directory: {path}: {source}; choose another --data-dir or correct its permissions", path = .path.display())]
    File {
        /// The directory or file.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// It belongs to another user and has a foreign entry.
    #[error(
        "{dir} belongs to another user (uid {owner}) and holds '{entry}', which is not of an attendance-api; name an \
         empty or a new directory with --data-dir",
        dir = .dir.display()
    )]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// Its owner.
        owner: u32,
        /// The foreign entry.
        entry: String,
    },
    /// An entry belongs neither to root nor to the user of the service.
    #[error(
        "{path} belongs to the user {owner}, neither to root nor to the user {user} that this runs as; nothing of another user is \
         changed: give it to that user (chown -h {user} on the path above), or name another --data-dir",
        path = .path.display()
    )]
    OtherOwner {
        /// The entry.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of the service.
        user: u32,
    },
    /// A file of root has further names, which may be outside of the data directory.
    #[error(
        "{path} belongs to root and has {links} names (hard links), so it is not given to another user; replace it by a copy, or \
         remove it, or name another --data-dir",
        path = .path.display()
    )]
    HardLinked {
        /// The file.
        path: PathBuf,
        /// The number of its names.
        links: u64,
    },
    /// The user of the service may have led the path to a directory of root.
    #[error(
        "{dir} leads to a directory of root by a path that the user of the service can change; that directory is not given away: \
         make it that user's (chown), or name another --data-dir",
        dir = .dir.display()
    )]
    Untrusted {
        /// The data directory.
        dir: PathBuf,
    },
    /// Directories are nested more deeply than in any cluster.
    #[error("{path} is nested too deeply to be of an attendance-api; remove it, or name another --data-dir", path = .path.display())]
    TooDeep {
        /// The directory.
        path: PathBuf,
    },
}

/// Whether an entry with this name may be in a data directory that is given to another user.
pub(super) fn is_own_entry(name: &OsStr) -> bool {
    name == FILE_SYSTEM_ENTRY || GIVEN_ENTRIES.iter().any(|own| name == *own)
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path: path.clone(), source }
}

/// Makes the directory if it is missing, and makes it private if it has no foreign entries. For the process that will use it.
///
/// # Errors
/// When it cannot be made, or belongs to another user and has foreign entries.
pub fn prepare(dir: &Path) -> Result<(), Error> {
    make(dir)?;
    claim(dir, Uid::effective())
}

/// Makes the directory private if it has no foreign entries; otherwise it must belong to `uid`.
fn claim(dir: &Path, uid: Uid) -> Result<(), Error> {
    let owner = fs::metadata(dir).map_err(at(dir))?.uid();
    let foreign = foreign_entry(dir)?;
    match foreign {
        None => set_private(dir),
        // Its owner uses it for something else and decides on its mode; our entries in it are private anyway.
        Some(_) if owner == uid.as_raw() => Ok(()),
        Some(entry) => Err(Error::Foreign { dir: dir.to_owned(), owner, entry }),
    }
}

/// Missing parents get the usual mode, because other users may need to pass through them.
fn make(dir: &Path) -> Result<(), Error> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        made => made.map_err(at(dir)),
    }
}

fn foreign_entry(dir: &Path) -> Result<Option<String>, Error> {
    let names = fs::read_dir(dir).map_err(at(dir))?.flatten().map(|entry| entry.file_name());
    let mut foreign = names.filter(|name| !is_own_entry(name));
    Ok(foreign.next().map(|name| name.to_string_lossy().into_owned()))
}

fn set_private(dir: &Path) -> Result<(), Error> {
    if fs::metadata(dir).map_err(at(dir))?.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(at(dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn a_new_directory_is_private() {
        let root = scratch("data");
        let dir = root.join("a/b");
        prepare(&dir).unwrap();
        prepare(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_directory_of_this_user_with_foreign_entries_keeps_its_mode() {
        let dir = scratch("data-shared");
        fs::write(dir.join("letters.txt"), "").unwrap();
        fs::set_permissions(&*dir, fs::Permissions::from_mode(0o755)).unwrap();
        prepare(&dir).unwrap();
        assert_eq!(fs::metadata(&*dir).unwrap().mode() & 0o777, 0o755);
    }
}
