//! Brings the files of a cluster that is being filled to the disk, while it is filled.
//!
//! Policy: this saves time and guarantees nothing: a sync of the file system at the end brings the rest to the disk. But an error is remembered, because the
//! kernel reports it only once.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

/// The directory of temporary files, such as those of a sort.
const TEMPORARY_FILES: &str = "pgsql_tmp";
/// Time between two rounds.
const INTERVAL: Duration = Duration::from_millis(500);
/// Files below this size, in bytes, are left to the end.
const MIN_BYTES: u64 = 8 << 20;

/// A thread that syncs what has changed. It ends when it is stopped or dropped.
#[derive(Debug)]
pub struct WriteBehind {
    /// Its end stops the thread.
    stop: Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl WriteBehind {
    /// Starts it for the directories of databases below `root`.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(root: PathBuf) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("write-behind".into()).spawn(move || {
            let mut synced = HashMap::new();
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                for database in fs::read_dir(&root)? {
                    let path = database?.path();
                    if !path.ends_with(TEMPORARY_FILES) {
                        sync_changed(&path, &mut synced)?;
                    }
                }
            }
            Ok(())
        })?;
        Ok(Self { stop, thread })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When a file could not be brought to the disk.
    pub(super) fn stop(self) -> io::Result<()> {
        drop(self.stop);
        self.thread.join().map_err(|_| io::Error::other("the thread that syncs files has panicked"))?
    }
}

/// Syncs the large files of a database that have changed since `synced`, which has the times of their last changes.
fn sync_changed(database: &Path, synced: &mut HashMap<PathBuf, SystemTime>) -> io::Result<()> {
    let Some(files) = unless_missing(fs::read_dir(database))? else { return Ok(()) };
    for file in files {
        let path = file?.path();
        let Some(file) = unless_missing(File::open(&path))? else { continue };
        let found = file.metadata()?;
        let changed = found.modified()?;
        if found.len() >= MIN_BYTES && synced.get(&path) != Some(&changed) {
            file.sync_data()?;
            synced.insert(path, changed);
        }
    }
    Ok(())
}

/// The server removes files and directories meanwhile.
fn unless_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn large_files_that_have_changed_are_synced_and_missing_ones_are_no_error() {
        let root = scratch("write-behind");
        let (large, small) = (root.join("large"), root.join("small"));
        fs::write(&large, vec![1; 8 << 20]).unwrap();
        fs::write(&small, "1").unwrap();
        let mut synced = HashMap::new();
        sync_changed(&root, &mut synced).unwrap();
        assert_eq!(synced.keys().collect::<Vec<_>>(), [&large]);
        let first = synced[&large];
        File::open(&large).unwrap().set_modified(first + Duration::from_secs(1)).unwrap();
        sync_changed(&root, &mut synced).unwrap();
        assert_ne!(synced[&large], first);
        sync_changed(&root.join("missing"), &mut synced).unwrap();
    }

    #[test]
    fn an_error_is_reported_at_the_end() {
        let directory = scratch("write-behind-error");
        let root = directory.join("not-a-directory");
        fs::write(&root, "").unwrap();
        let running = WriteBehind::start(root).unwrap();
        while !running.thread.is_finished() {
            thread::yield_now();
        }
        running.stop().unwrap_err();
    }
}
