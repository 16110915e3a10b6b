//! Removes the clusters that restores have replaced, and what is too old of the archive of WAL, also when no WAL is copied any more.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::layout::Layout;
use super::lineage;
use super::ownership::Owner;
use super::restore::KEPT_MARK;
use super::{Error, archive_retention};
use crate::managed::secret_file::PARTIAL_MARK;

/// The clusters that are kept.
///
/// # Errors
/// When the directory of the clusters cannot be read.
pub fn kept(layout: &Layout) -> Result<Vec<PathBuf>, Error> {
    let clusters = layout.clusters();
    if !clusters.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&clusters).map_err(Error::at(&clusters))?.flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().contains(KEPT_MARK))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    Ok(found)
}

/// Removes them, and what is older than so many days from the archive in a directory of backups. Returns the paths. A removal that is interrupted is
/// finished by the next start.
///
/// # Errors
/// When one cannot be removed.
pub fn forget(layout: &Layout, backups: &Path, days: i64, now: Timestamp) -> Result<Vec<PathBuf>, Error> {
    if layout.journal().exists() {
        return Err(Error::Interrupted);
    }
    let mut found = kept(layout)?;
    for path in &found {
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace(KEPT_MARK, PARTIAL_MARK);
        let partial = path.with_file_name(name);
        fs::rename(path, &partial).and_then(|()| fs::remove_dir_all(&partial)).map_err(Error::at(path))?;
    }
    let archive = lineage::archive(backups);
    // The lineage of an appliance that runs is locked by it.
    found.extend(archive_retention::prune(&archive, &Owner::read(layout, backups), None, days, now)?);
    Ok(found)
}
