//! Makes the data directory and its permissions.
//!
//! Policy: its mode is 0700. A directory of another user gets a new owner only if it is empty or contains nothing but
//! the entries of an appliance, so that a mistyped `--data-dir /home` changes nothing. Symbolic links in it are not followed.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

/// The entries of a data directory, and the one that a file system has in its root.
const OWN_ENTRIES: [&str; 6] = ["lock", "dist", "postgres", "run", "cache", "lost+found"];

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
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path: path.clone(), source }
}

/// Makes the directory if it is missing, and makes it private if it has no foreign entries. For a process that does not change its user.
///
/// # Errors
/// When it cannot be made, or belongs to another user and has foreign entries.
pub fn prepare(dir: &Path) -> Result<(), Error> {
    make(dir)?;
    claim(dir, Uid::effective())
}

/// As root: makes the directory and changes the owner of it and of its own entries to `uid` and `gid`.
///
/// # Errors
/// When it cannot be made or changed, or belongs to another user and has foreign entries.
pub(super) fn prepare_for_user(dir: &Path, uid: Uid, gid: Gid) -> Result<(), Error> {
    make(dir)?;
    if foreign_entry(dir)?.is_none() {
        lchown(dir, Some(uid.as_raw()), Some(gid.as_raw())).map_err(at(dir))?;
    }
    claim(dir, uid)?;
    OWN_ENTRIES.iter().map(|name| dir.join(name)).filter(|path| path.symlink_metadata().is_ok()).try_for_each(|path| {
        // A restore or a repair by root may have left files that PostgreSQL cannot open.
        change_owner(&path, uid, gid)
    })
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
    let mut foreign = names.filter(|name| !OWN_ENTRIES.iter().any(|own| name == own));
    Ok(foreign.next().map(|name| name.to_string_lossy().into_owned()))
}

fn set_private(dir: &Path) -> Result<(), Error> {
    if fs::metadata(dir).map_err(at(dir))?.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(at(dir))
}

/// Changes the owner of a file, or of a directory and everything in it. The directory is last, so that an interrupted run is repeated.
fn change_owner(path: &Path, uid: Uid, gid: Gid) -> Result<(), Error> {
    let found = path.symlink_metadata().map_err(at(path))?;
    if found.is_dir() {
        for entry in fs::read_dir(path).map_err(at(path))? {
            change_owner(&entry.map_err(at(path))?.path(), uid, gid)?;
        }
    }
    if found.uid() == uid.as_raw() {
        return Ok(());
    }
    lchown(path, Some(uid.as_raw()), Some(gid.as_raw())).map_err(at(path))
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

    #[test]
    fn a_directory_of_another_user_with_foreign_entries_is_rejected() {
        let dir = scratch("data-foreign");
        fs::write(dir.join("letters.txt"), "").unwrap();
        let other = Uid::from_raw(Uid::effective().as_raw() + 1);
        let error = prepare_for_user(&dir, other, Gid::effective()).unwrap_err();
        assert!(matches!(&error, Error::Foreign { entry, .. } if entry == "letters.txt"), "{error}");
    }
}
