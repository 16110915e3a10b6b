//! Gives up root privileges, and whatever the process could gain or reveal.
//!
//! Policy: a process that is started as root permanently becomes the user `attendance-api` if it exists, else `nobody`. Before that
//! it changes the owner of the data directory, if one is needed. It must happen before the process has a second
//! thread. PostgreSQL does not run as root, and initdb needs the name of its user, so the user must have a passwd entry.
//!
//! Whatever the user is, no program that this process or a child executes can gain privileges (`no_new_privs`), and other processes of
//! that user can neither attach to this process nor read its environment and memory, which hold passwords (not dumpable). Children are
//! dumpable again, because `exec` resets it; their environment has no secrets (`command`).

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::prctl::{set_dumpable, set_no_new_privs};
use nix::unistd::{AccessFlags, Uid, User, access, setgid, setgroups, setuid};

use super::data_dir;
use super::data_dir_owner::{self, Found, Recipient};

/// The last choice: other services may run as this user, too, and reach the data.
pub const FALLBACK_USER: &str = "nobody";
/// The users to become, in order of preference.
const UNPRIVILEGED_USERS: [&str; 2] = ["attendance-api", FALLBACK_USER];

/// Why the process is still root, or cannot work as another user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system has none of these users.
    #[error(
        "started as root, but there is no user to become: neither 'attendance-api' nor 'nobody' is in the passwd \
         database; create one (useradd --system attendance-api) or start as another user"
    )]
    NoUser,
    /// The owner of the data directory cannot be changed.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The kernel rejected the change of user.
    #[error("cannot become the user '{user}': {errno}; start as that user instead")]
    Become {
        /// The user to become.
        user: String,
        /// The error of the kernel.
        #[source]
        errno: Errno,
    },
    /// The kernel rejected the protection of the process.
    #[error("cannot protect this process from others ({what}): {errno}")]
    Protect {
        /// The protection.
        what: &'static str,
        /// The error of the kernel.
        #[source]
        errno: Errno,
    },
    /// A directory above the data directory does not let that user pass.
    #[error(
        "started as root, so this runs as the user '{user}', who cannot reach the data directory {dir} ({errno}); choose \
         another --data-dir, or let others pass through the directories above it (chmod o+x)",
        dir = .dir.display()
    )]
    Unreachable {
        /// The user that the process became.
        user: String,
        /// The data directory.
        dir: PathBuf,
        /// The error of the kernel.
        #[source]
        errno: Errno,
    },
}

/// As root: makes `data_dir` for an unprivileged user, becomes that user and returns its name. As another user: makes
/// `data_dir` and returns `None`. Without `data_dir`, only the user changes. In each case, the process is protected from others.
///
/// # Errors
/// When there is no such user, the kernel rejects the change, or the user cannot reach the directory.
pub fn drop_to_unprivileged(data_dir: Option<&Path>) -> Result<Option<String>, Error> {
    let user = change_user(data_dir)?;
    // After the change of user, which resets the second one.
    set_no_new_privs().map_err(|errno| Error::Protect { what: "no_new_privs", errno })?;
    set_dumpable(false).map_err(|errno| Error::Protect { what: "not dumpable", errno })?;
    Ok(user)
}

fn change_user(data_dir: Option<&Path>) -> Result<Option<String>, Error> {
    if !Uid::effective().is_root() {
        data_dir.map_or(Ok(()), data_dir::prepare)?;
        return Ok(None);
    }
    let user = UNPRIVILEGED_USERS.iter().find_map(|name| User::from_name(name).ok().flatten()).ok_or(Error::NoUser)?;
    let recipient = Recipient { uid: user.uid, gid: user.gid };
    let found = data_dir.map(|dir| data_dir_owner::give(dir, recipient)).transpose()?;
    become_user(&user).map_err(|errno| Error::Become { user: user.name.clone(), errno })?;
    if let Some(dir) = data_dir {
        if found == Some(Found::Given) {
            access(dir, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK)
                .map_err(|errno| Error::Unreachable { user: user.name.clone(), dir: dir.to_owned(), errno })?;
        }
        // With the rights of the user: a path that was exchanged meanwhile leads to nothing that the user could not change anyway.
        data_dir::prepare(dir)?;
    }
    Ok(Some(user.name))
}

fn become_user(user: &User) -> Result<(), Errno> {
    setgroups(&[])?;
    setgid(user.gid)?;
    setuid(user.uid)
}
