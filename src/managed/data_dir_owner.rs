//! Gives the data directory to the user of the service, while the process is still root.
//!
//! Policy: the service's user can exchange entries of its directories at any time, so nothing is checked by one path look-up and changed by
//! another. Every entry is opened once, without following a symbolic link (`O_NOFOLLOW`); its type, owner and link count are read
//! from that descriptor, and the owner is changed through it. Only entries of root are given away. A file of root with more than one name is
//! refused, because its other name may be anywhere; an entry of a third user is refused as well. Symbolic links inside the
//! directory are left alone. An entry that vanishes meanwhile, such as the pid file of a server that is still ending, is no error.
//!
//! The path of the data directory may contain symbolic links: it is resolved once, component by component, to a descriptor. If
//! the service's user could have placed a component, the directory is used only if it belongs to that user already; a missing one is
//! then made later, with that user's rights.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::libc::{S_IFDIR, S_IFLNK, S_IFMT};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, fchownat};

use super::data_dir::{Error, GIVEN_ENTRIES, is_own_entry};

/// The kernel's limit of symbolic links in one path.
const MAX_LINKS: usize = 40;
/// The deepest directory of a distribution or a cluster has a fraction of this depth; each level holds two descriptors.
const MAX_DEPTH: usize = 48;
/// A descriptor that permits nothing but to look at an entry and to change its owner.
const LOOK: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The user that receives the data directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipient {
    /// The owner of every entry afterwards.
    pub(super) uid: Uid,
    /// The group of every entry that changes its owner.
    pub(super) gid: Gid,
}

/// What was found at the path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The directory, which belongs to the recipient now.
    Given,
    /// Nothing yet, in a directory that the recipient can change: it must be made with the recipient's rights.
    Missing,
}

/// Makes `dir` if it is missing, and gives it and the appliance's entries in it to `recipient`.
///
/// # Errors
/// When it cannot be made, read or changed, or has an entry that may not be given away.
pub(super) fn give(dir: &Path, recipient: Recipient) -> Result<Found, Error> {
    let Some(resolved) = Resolver::new(dir, recipient)?.resolve()? else { return Ok(Found::Missing) };
    let mut giver = Giver { recipient, path: dir.to_owned() };
    let mut opened = giver.open_dir(&resolved.descriptor, c".")?;
    let (mut own, mut foreign) = (Vec::new(), None);
    for entry in opened.iter() {
        let name = entry.map_err(|errno| giver.failed(errno))?.file_name().to_owned();
        match OsStr::from_bytes(name.to_bytes()) {
            name if name == "." || name == ".." => {}
            known if is_own_entry(known) => own.push(name),
            other => foreign = Some(other.to_string_lossy().into_owned()),
        }
    }
    let owner = Uid::from_raw(giver.look(&resolved.descriptor)?.st_uid);
    if owner != recipient.uid {
        if let Some(entry) = foreign {
            return Err(Error::Foreign { dir: dir.to_owned(), owner: owner.as_raw(), entry });
        }
        if !resolved.is_trusted && owner.is_root() {
            return Err(Error::Untrusted { dir: dir.to_owned() });
        }
    }
    for name in own.iter().filter(|name| GIVEN_ENTRIES.iter().any(|given| name.to_bytes() == given.as_bytes())) {
        giver.give_entry(&opened, name, 1)?;
    }
    // Last, so that an interrupted run is repeated.
    giver.give_descriptor(&resolved.descriptor)?;
    Ok(Found::Given)
}

/// The directory at the end of a path.
struct Resolved {
    descriptor: OwnedFd,
    /// Whether the recipient had no influence on the components of the path.
    is_trusted: bool,
}

/// Follows a path from `/`, one component after the other.
struct Resolver<'a> {
    dir: &'a Path,
    recipient: Recipient,
    current: OwnedFd,
    /// The components that remain, the next one last.
    remaining: Vec<OsString>,
    is_trusted: bool,
    links: usize,
}

impl<'a> Resolver<'a> {
    fn new(dir: &'a Path, recipient: Recipient) -> Result<Self, Error> {
        let absolute = std::path::absolute(dir).map_err(|source| Error::File { path: dir.to_owned(), source })?;
        let current = open_root(dir)?;
        let mut resolver = Self { dir, recipient, current, remaining: Vec::new(), is_trusted: true, links: 0 };
        resolver.push(&absolute);
        Ok(resolver)
    }

    fn push(&mut self, path: &Path) {
        let names = path.components().filter(|component| !matches!(component, Component::RootDir | Component::CurDir));
        let names: Vec<OsString> = names.map(|component| component.as_os_str().to_owned()).collect();
        self.remaining.extend(names.into_iter().rev());
    }

    fn failed(&self, errno: Errno) -> Error {
        Error::File { path: self.dir.to_owned(), source: errno.into() }
    }

    /// The directory; none if it is missing and the recipient could exchange what root would make.
    fn resolve(mut self) -> Result<Option<Resolved>, Error> {
        while let Some(name) = self.remaining.pop() {
            let parent = fstat(&self.current).map_err(|errno| self.failed(errno))?;
            self.is_trusted &= !self.can_be_changed(&parent);
            let next = match openat(&self.current, name.as_os_str(), LOOK, Mode::empty()) {
                Err(Errno::ENOENT) if !self.is_trusted => return Ok(None),
                Err(Errno::ENOENT) => self.make(&name),
                opened => opened,
            };
            let next = next.map_err(|errno| self.failed(errno))?;
            let found = fstat(&next).map_err(|errno| self.failed(errno))?;
            match found.st_mode & S_IFMT {
                S_IFDIR => self.current = next,
                S_IFLNK => self.follow(&next, &found)?,
                _ => return Err(self.failed(Errno::ENOTDIR)),
            }
        }
        Ok(Some(Resolved { descriptor: self.current, is_trusted: self.is_trusted }))
    }

    /// Whether the recipient can exchange entries of this directory.
    fn can_be_changed(&self, directory: &FileStat) -> bool {
        let is_writable = directory.st_mode & 0o002 != 0
            || (directory.st_mode & 0o020 != 0 && directory.st_gid == self.recipient.gid.as_raw());
        let is_sticky = directory.st_mode & 0o1000 != 0;
        directory.st_uid == self.recipient.uid.as_raw() || (is_writable && !is_sticky)
    }

    fn make(&self, name: &OsStr) -> Result<OwnedFd, Errno> {
        // Missing parents get the usual mode, because other users may need to pass through them.
        let mode = if self.remaining.is_empty() { 0o700 } else { 0o777 };
        match mkdirat(&self.current, name, Mode::from_bits_truncate(mode)) {
            Ok(()) | Err(Errno::EEXIST) => openat(&self.current, name, LOOK, Mode::empty()),
            Err(errno) => Err(errno),
        }
    }

    fn follow(&mut self, link: &OwnedFd, found: &FileStat) -> Result<(), Error> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(self.failed(Errno::ELOOP));
        }
        self.is_trusted &= found.st_uid != self.recipient.uid.as_raw();
        let target = PathBuf::from(readlinkat(link, "").map_err(|errno| self.failed(errno))?);
        if target.is_absolute() {
            self.current = open_root(self.dir)?;
        }
        self.push(&target);
        Ok(())
    }
}

fn open_root(dir: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let failed = |errno: Errno| Error::File { path: dir.to_owned(), source: errno.into() };
    nix::fcntl::open("/", flags, Mode::empty()).map_err(failed)
}

/// Changes owners; the path of the entry at hand is for messages only.
struct Giver {
    recipient: Recipient,
    path: PathBuf,
}

impl Giver {
    fn failed(&self, errno: Errno) -> Error {
        Error::File { path: self.path.clone(), source: errno.into() }
    }

    fn look(&self, descriptor: impl AsFd) -> Result<FileStat, Error> {
        fstat(descriptor).map_err(|errno| self.failed(errno))
    }

    fn open_dir(&self, parent: impl AsFd, name: &std::ffi::CStr) -> Result<Dir, Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Dir::openat(parent, name, flags, Mode::empty()).map_err(|errno| self.failed(errno))
    }

    /// Gives one entry of a directory away, with everything in it.
    fn give_entry(&mut self, parent: &Dir, name: &std::ffi::CStr, depth: usize) -> Result<(), Error> {
        self.path.push(OsString::from_vec(name.to_bytes().to_vec()));
        let given = self.give_named(parent, name, depth);
        self.path.pop();
        given
    }

    fn give_named(&mut self, parent: &Dir, name: &std::ffi::CStr, depth: usize) -> Result<(), Error> {
        let found = match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return Ok(()),
            found => found.map_err(|errno| self.failed(errno))?,
        };
        // Spares most entries the descriptor. If the entry is exchanged after this look, it is simply not changed.
        if found.st_mode & S_IFMT == S_IFLNK
            || (found.st_mode & S_IFMT != S_IFDIR && found.st_uid == self.recipient.uid.as_raw())
        {
            return Ok(());
        }
        let descriptor = match openat(parent, name, LOOK, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(()),
            opened => opened.map_err(|errno| self.failed(errno))?,
        };
        if self.look(&descriptor)?.st_mode & S_IFMT == S_IFDIR {
            self.give_content(&descriptor, depth)?;
        }
        self.give_descriptor(&descriptor)
    }

    fn give_content(&mut self, directory: &OwnedFd, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep { path: self.path.clone() });
        }
        let mut opened = match self.open_dir(directory, c".") {
            // Removed meanwhile.
            Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let names: Result<Vec<_>, Errno> = opened.iter().map(|entry| Ok(entry?.file_name().to_owned())).collect();
        let names = match names {
            // Removed while it is read.
            Err(Errno::ENOENT) => return Ok(()),
            names => names.map_err(|errno| self.failed(errno))?,
        };
        for name in names {
            if !matches!(name.to_bytes(), b"." | b"..") {
                self.give_entry(&opened, &name, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Changes the owner of an open entry, if that is permitted.
    fn give_descriptor(&self, descriptor: &OwnedFd) -> Result<(), Error> {
        let found = self.look(descriptor)?;
        let (owner, kind) = (Uid::from_raw(found.st_uid), found.st_mode & S_IFMT);
        if owner == self.recipient.uid || kind == S_IFLNK {
            return Ok(());
        }
        if !owner.is_root() {
            let user = self.recipient.uid.as_raw();
            return Err(Error::OtherOwner { path: self.path.clone(), owner: owner.as_raw(), user });
        }
        if kind != S_IFDIR && found.st_nlink > 1 {
            return Err(Error::HardLinked { path: self.path.clone(), links: found.st_nlink });
        }
        let Recipient { uid, gid } = self.recipient;
        fchownat(descriptor, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH).map_err(|errno| self.failed(errno))
    }
}
