//! Directories for what is made and thrown away: the cluster of a verification, or of a restore until it is in its place.
//!
//! Policy: each has a lock that ends with its process. So a clean-up, which each start of the appliance makes, removes those that a killed process left and
//! never one that is in use. PostgreSQL processes of a killed verification are ended first.

use std::fs;
use std::path::{Path, PathBuf};

use super::Error;
use super::file_lock::FileLock;
use super::layout::{Layout, make_private_dir};
use crate::managed::scratch_cluster;

/// The end of the name of a lock.
const LOCK_SUFFIX: &str = ".lock";
/// How many names are tried.
const MAX_ATTEMPTS: u32 = 100;

/// A directory, removed when it is dropped.
#[derive(Debug)]
pub struct ScratchDir {
    path: PathBuf,
    lock: Option<FileLock>,
}

impl ScratchDir {
    /// Makes a directory; `purpose` is part of its name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(layout: &Layout, purpose: &str) -> Result<Self, Error> {
        layout.prepare()?;
        let root = layout.scratch();
        make_private_dir(&root).map_err(Error::at(&root))?;
        for number in 0..MAX_ATTEMPTS {
            let path = root.join(format!("{purpose}-{}-{number}", std::process::id()));
            let lock_path = lock_path(&path);
            if path.exists() || lock_path.exists() {
                continue;
            }
            if let Some(lock) = FileLock::try_acquire(&lock_path).map_err(Error::at(&lock_path))? {
                make_private_dir(&path).map_err(Error::at(&path))?;
                return Ok(Self { path, lock: Some(lock) });
            }
        }
        Err(Error::NoScratch { path: root })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.path).and_then(|()| self.lock.take().map_or(Ok(()), FileLock::remove));
        if let Err(error) = removed {
            tracing::warn!("cannot remove {}: {error}; the next start removes it", self.path.display());
        }
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(LOCK_SUFFIX);
    name.into()
}

/// Removes what killed processes left.
///
/// # Errors
/// When something cannot be removed.
pub async fn clean_up(layout: &Layout) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(layout.scratch()) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "lock") {
            // Removed with its directory; a lock without one has no other use.
            if !path.with_extension("").exists()
                && let Some(lock) = FileLock::try_acquire(&path).map_err(Error::at(&path))?
            {
                lock.remove().map_err(Error::at(&path))?;
            }
            continue;
        }
        let lock_path = lock_path(&path);
        let Some(lock) = FileLock::try_acquire(&lock_path).map_err(Error::at(&lock_path))? else { continue };
        scratch_cluster::end_stale(&path).await.map_err(Error::at(&path))?;
        fs::remove_dir_all(&path).map_err(Error::at(&path))?;
        lock.remove().map_err(Error::at(&lock_path))?;
        tracing::info!("removed {}, left by a process that was killed", path.display());
    }
    Ok(())
}
