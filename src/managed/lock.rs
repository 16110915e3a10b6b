//! The lock on the data directory: at most one appliance uses it.
//!
//! Policy: an exclusive kernel lock on `DATA/lock`, held for the life of the process. The kernel releases it
//! however the process ends, so a lock is never stale; the process id in the file is only for the error message. A
//! process that was just killed may take a moment to end, so a held lock is retried for a second.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// How long a held lock is retried.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another appliance holds it.
    #[error(
        "the data directory {dir} is in use by another attendance-api ({holder}); stop that one, or give this one \
         another --data-dir",
        dir = .dir.display()
    )]
    Held {
        /// The data directory.
        dir: PathBuf,
        /// The process that holds it.
        holder: String,
    },
    /// The lock file cannot be opened, written or locked.
    #[error("cannot lock the data directory: {path}: {source}", path = .path.display())]
    File {
        /// The lock file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Permission to use a data directory; released when dropped.
#[derive(Debug)]
pub struct DataDirLock {
    _file: Flock<File>,
}

impl DataDirLock {
    /// Takes the lock on `data_dir`, which must exist. Blocks for up to a second if another process holds it.
    ///
    /// # Errors
    /// When another process holds it, or the file cannot be written.
    pub fn acquire(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("lock");
        let failed = |source| Error::File { path: path.clone(), source };
        // Not truncated on opening, because it has the process id of the holder.
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        match lock(file.map_err(failed)?) {
            Ok(mut file) => {
                if let Err(error) = record_holder(&mut file) {
                    // The lock holds; the process id is only for the message of another process. The disk may be full.
                    tracing::warn!("{}: {error}", path.display());
                }
                Ok(Self { _file: file })
            }
            Err((file, Errno::EWOULDBLOCK)) => Err(Error::Held { dir: data_dir.to_owned(), holder: holder(file) }),
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }
}

fn lock(mut file: File) -> Result<Flock<File>, (File, Errno)> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((held, Errno::EWOULDBLOCK)) if Instant::now() < deadline => file = held,
            result => return result,
        }
        sleep(RETRY_INTERVAL);
    }
}

fn record_holder(file: &mut File) -> io::Result<()> {
    file.rewind()?;
    let line = format!("{}\n", std::process::id());
    // Written over the line before, for which there is space also on a full disk.
    file.write_all(line.as_bytes())?;
    file.set_len(line.len() as u64)
}

fn holder(mut file: File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        _ => "process unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn a_second_lock_fails_and_its_error_names_the_holder() {
        let dir = scratch("lock");
        let held = DataDirLock::acquire(&dir).unwrap();
        let error = DataDirLock::acquire(&dir).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        DataDirLock::acquire(&dir).unwrap();
    }
}
