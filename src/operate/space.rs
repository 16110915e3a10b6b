//! Space of file systems.
//!
//! Policy: a backup or a cluster that is made beside a database that serves leaves a part of the file system free: the database goes on writing meanwhile, and
//! creates are refused when the file system is full.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::Error;

/// The bounds of what stays free for a database that serves: a tenth of its file system, but not less or more than these.
const MIN_RESERVE_BYTES: u64 = 64 << 20;
const MAX_RESERVE_BYTES: u64 = 512 << 20;

/// The file system of a directory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileSystem {
    device: u64,
    total: u64,
    /// The free space that this process may use.
    pub(super) free: u64,
}

impl FileSystem {
    /// The file system of this directory, which exists.
    ///
    /// # Errors
    /// When the file system does not answer.
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let found = statvfs(path).map_err(|errno| Error::at(path)(errno.into()))?;
        let device = fs::metadata(path).map_err(Error::at(path))?.dev();
        let bytes = |blocks: u64| blocks.saturating_mul(found.fragment_size());
        Ok(Self { device, total: bytes(found.blocks()), free: bytes(found.blocks_available()) })
    }

    /// Whether a directory is on it; not if it does not exist.
    pub(super) fn has(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| found.dev() == self.device)
    }

    /// The part that stays free for a database that serves.
    pub(super) fn reserve(&self) -> u64 {
        (self.total / 10).clamp(MIN_RESERVE_BYTES, MAX_RESERVE_BYTES)
    }
}

/// Who else uses the data directory while a cluster is made in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// An appliance may serve, whose database goes on writing.
    Serving,
    /// The holder of its lock is this process.
    Alone,
}

/// Refuses to make a cluster of so many bytes, its WAL included, where the data directory has no room for it.
///
/// # Errors
/// When there is too little space.
pub(super) fn require_for_cluster(data_dir: &Path, scratch: &Path, needed: u64, beside: Beside) -> Result<(), Error> {
    let found = FileSystem::of(scratch)?;
    let reserve = if beside == Beside::Serving { found.reserve() } else { 0 };
    let needed = needed.saturating_add(reserve);
    if found.free >= needed {
        return Ok(());
    }
    Err(Error::NoSpace { path: data_dir.to_owned(), free: found.free >> 20, needed: needed >> 20 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn a_tenth_of_a_file_system_stays_free_within_bounds() {
        for (total, expected) in [(100 << 20, 64 << 20), (2_000 << 20, 200 << 20), (1 << 40, 512 << 20)] {
            assert_eq!(FileSystem { device: 1, total, free: 0 }.reserve(), expected, "{total}");
        }
    }

    #[test]
    fn a_cluster_beside_a_database_that_serves_needs_more() {
        let directory = scratch("space");
        let found = FileSystem::of(&directory).unwrap();
        assert!(found.has(&directory) && !found.has(&directory.join("missing")));
        // Other tests use the file system as well.
        let needed = found.free - found.reserve() / 2;
        let require = |beside| require_for_cluster(&directory, &directory, needed, beside);
        assert!(matches!(require(Beside::Serving), Err(Error::NoSpace { .. })));
        require(Beside::Alone).unwrap();
    }
}
