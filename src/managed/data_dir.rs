//! The data directory itself: made, made private, and never confused with somebody else's directory.
//!
//! Policy: mode 0700. A directory that belongs to another user is only taken over when it is empty or holds nothing but
//! what an appliance puts there, so that a mistyped `--data-dir /home` changes nothing. Symbolic links in it are not
//! followed.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

/// What an appliance puts into its data directory, and what a file system puts into its root.
const OURS: [&str; 6] = ["lock", "dist", "postgres", "run", "cache", "lost+found"];

/// Why a directory cannot be the data directory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made, read or changed.
    #[error("the data directory: {path}: {source}; choose another --data-dir or correct its permissions", path = .path.display())]
    File {
        /// What exactly.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It belongs to somebody else and is in use for something else.
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
        /// Something in it.
        entry: String,
    },
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path: path.clone(), source }
}

/// Makes the directory if it is missing, and private if it is ours alone. For the user that already is the right one.
///
/// # Errors
/// When it cannot be made, or is another user's.
pub fn prepare(dir: &Path) -> Result<(), Error> {
    make(dir)?;
    claim(dir, Uid::effective())
}

/// The same as root for `uid` and `gid`: it, and what is ours in it, is given to them.
///
/// # Errors
/// When it cannot be made or changed, or is another user's and holds what is not ours.
pub(super) fn take_over(dir: &Path, uid: Uid, gid: Gid) -> Result<(), Error> {
    make(dir)?;
    if foreign_entry(dir)?.is_none() {
        lchown(dir, Some(uid.as_raw()), Some(gid.as_raw())).map_err(at(dir))?;
    }
    claim(dir, uid)?;
    OURS.iter().map(|name| dir.join(name)).filter(|path| path.symlink_metadata().is_ok()).try_for_each(|path| {
        // A restore or a repair by root may have left files that PostgreSQL could not open.
        give(&path, uid, gid)
    })
}

/// Makes the directory private if it is of `uid` and holds nothing but ours; refuses it if it is another user's.
fn claim(dir: &Path, uid: Uid) -> Result<(), Error> {
    let owner = fs::metadata(dir).map_err(at(dir))?.uid();
    let foreign = foreign_entry(dir)?;
    match foreign {
        None => set_private(dir),
        // With other things in it, its mode is its owner's business; what we make in it is private anyway.
        Some(_) if owner == uid.as_raw() => Ok(()),
        Some(entry) => Err(Error::Foreign { dir: dir.to_owned(), owner, entry }),
    }
}

/// Those above it get the usual mode: others may need to pass through them.
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
    let mut foreign = names.filter(|name| !OURS.iter().any(|ours| name == ours));
    Ok(foreign.next().map(|name| name.to_string_lossy().into_owned()))
}

fn set_private(dir: &Path) -> Result<(), Error> {
    if fs::metadata(dir).map_err(at(dir))?.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(at(dir))
}

/// Gives a directory and all in it to `uid`, the directory last: an interrupted run starts over.
fn give(path: &Path, uid: Uid, gid: Gid) -> Result<(), Error> {
    let found = path.symlink_metadata().map_err(at(path))?;
    if found.is_dir() {
        for entry in fs::read_dir(path).map_err(at(path))? {
            give(&entry.map_err(at(path))?.path(), uid, gid)?;
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
    fn a_new_one_is_private() {
        let root = scratch("data");
        let dir = root.join("a/b");
        prepare(&dir).unwrap();
        prepare(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn one_of_ours_in_use_for_something_else_keeps_its_mode() {
        let dir = scratch("data-shared");
        fs::write(dir.join("letters.txt"), "").unwrap();
        fs::set_permissions(&*dir, fs::Permissions::from_mode(0o755)).unwrap();
        prepare(&dir).unwrap();
        assert_eq!(fs::metadata(&*dir).unwrap().mode() & 0o777, 0o755);
    }

    #[test]
    fn one_of_others_in_use_for_something_else_is_refused() {
        let dir = scratch("data-foreign");
        fs::write(dir.join("letters.txt"), "").unwrap();
        let other = Uid::from_raw(Uid::effective().as_raw() + 1);
        let error = take_over(&dir, other, Gid::effective()).unwrap_err();
        assert!(matches!(&error, Error::Foreign { entry, .. } if entry == "letters.txt"), "{error}");
    }
}
