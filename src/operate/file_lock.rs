//! Locks that end with their process, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::time::{Instant, sleep};

use super::Error;
use super::layout::Layout;

/// How long the lock of backups is tried.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A held lock; released when dropped.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    file: Flock<File>,
}

impl FileLock {
    /// Takes the lock of this file, which is made if it is missing. `None` if another process has it.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub(super) fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => {
                let is_current = std::fs::metadata(path).is_ok_and(|found| {
                    file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
                });
                // Otherwise a clean-up has removed the file meanwhile.
                Ok(is_current.then(|| Self { path: path.to_owned(), file }))
            }
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// The right to make a backup: one at a time for each data directory. A held lock is tried again for a moment, because the appliance notices the
    /// end of a command that was killed only then.
    ///
    /// # Errors
    /// When another process makes one.
    pub async fn of_backup(layout: &Layout) -> Result<Self, Error> {
        layout.prepare()?;
        let path = layout.backup_lock();
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let mut lock = loop {
            match Self::try_acquire(&path).map_err(Error::at(&path))? {
                Some(lock) => break lock,
                None if Instant::now() > deadline => return Err(Error::AnotherBackup { process: holder(&path) }),
                None => sleep(RETRY_INTERVAL).await,
            }
        };
        // The process id is only for the message of another process.
        let noted = lock.note_holder();
        if let Err(error) = noted {
            tracing::debug!(%error, "the holder of the lock of backups cannot be noted");
        }
        Ok(lock)
    }

    fn note_holder(&mut self) -> io::Result<()> {
        self.file.rewind()?;
        let line = format!("{}\n", std::process::id());
        self.file.write_all(line.as_bytes())?;
        self.file.set_len(line.len() as u64)
    }

    /// Removes the file and releases the lock.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

fn holder(path: &Path) -> String {
    let mut text = String::new();
    match File::open(path).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}
