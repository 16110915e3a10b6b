//! Nothing runs as root.
//!
//! Policy: started as root, the process becomes `attendance-api` if there is such a user, else `nobody`, and for good:
//! groups, group and user, in this order. Before that it gives the data directory, where there is to be one, to that
//! user. It must happen before the process has a second thread. PostgreSQL refuses to run as root, and initdb needs a name for its user, hence a
//! user with a passwd entry.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::prctl::set_dumpable;
use nix::unistd::{AccessFlags, Uid, User, access, setgid, setgroups, setuid};

use super::data_dir;

/// The users to become, in order of preference.
const USERS: [&str; 2] = ["attendance-api", "nobody"];

/// Why the process still is root, or cannot work without being it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system has neither user.
    #[error(
        "started as root, but there is no user to become: neither 'attendance-api' nor 'nobody' is in the passwd \
         database; create one (useradd --system attendance-api) or start as another user"
    )]
    NoUser,
    /// The data directory cannot be given to that user.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The kernel refused.
    #[error("cannot become the user '{user}': {errno}; start as that user instead")]
    Become {
        /// Which user.
        user: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// A directory above the data directory is closed to that user.
    #[error(
        "started as root, so this runs as the user '{user}', who cannot reach the data directory {dir} ({errno}); choose \
         another --data-dir, or let others pass through the directories above it (chmod o+x)",
        dir = .dir.display()
    )]
    Unreachable {
        /// Which user.
        user: String,
        /// The data directory.
        dir: PathBuf,
        /// What the kernel said.
        errno: Errno,
    },
}

/// As root: makes and hands over `data_dir`, becomes an unprivileged user and returns its name. As another user: makes
/// `data_dir` and returns `None`. Without a `data_dir` only the user changes.
///
/// # Errors
/// When there is no such user, the kernel refuses, or the user cannot reach the directory.
pub fn drop_to_unprivileged(data_dir: Option<&Path>) -> Result<Option<String>, Error> {
    if !Uid::effective().is_root() {
        data_dir.map_or(Ok(()), data_dir::prepare)?;
        return Ok(None);
    }
    let user = USERS.iter().find_map(|name| User::from_name(name).ok().flatten()).ok_or(Error::NoUser)?;
    data_dir.map_or(Ok(()), |dir| data_dir::take_over(dir, user.uid, user.gid))?;
    become_user(&user).map_err(|errno| Error::Become { user: user.name.clone(), errno })?;
    if let Some(dir) = data_dir {
        access(dir, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| Error::Unreachable {
            user: user.name.clone(),
            dir: dir.to_owned(),
            errno,
        })?;
    }
    Ok(Some(user.name))
}

fn become_user(user: &User) -> Result<(), Errno> {
    setgroups(&[])?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    // The kernel closes /proc/self to a process that changed its user; children are started through /proc/self/exe.
    set_dumpable(true)
}
