//! How large the archive of WAL may become.
//!
//! Policy: the archive does not take the space of the database. On a common file system, enough stays free to serve requests; and the archive has at most
//! `backup.wal_max_size`, if that is set. Beyond that, no WAL is copied or kept for the copy, which is reported, until there is clearly more room: no file that
//! restores a moment of the last days is removed to make room. The size that the archive can reach is a metric, so an alert comes before the limit.

use std::path::Path;

use super::Error;
use super::layout::Layout;
use super::lineage::Lineage;
use super::ownership::Owner;
use super::space::FileSystem;
use super::wal_rate::WalRate;

/// The space that stays free beside a base, in bytes.
const FREE_BESIDE_BASE: u64 = 64 << 20;
/// How fast a base is made at least, in bytes of the database a second: for an estimate of the WAL that is written meanwhile.
const BASE_BYTES_PER_SECOND: u64 = 25 << 20;

/// The room for an archive, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    free: u64,
    /// What stays free for the database; none on another file system.
    reserve: u64,
    /// The configured limit.
    max: u64,
}

impl Room {
    /// The room in the directory of backups, which exists.
    pub(super) fn of(directory: &Path, layout: &Layout, max: Option<u64>) -> Result<Self, Error> {
        let file_system = FileSystem::of(directory)?;
        let has_database = [layout.clusters(), layout.data_dir().to_owned()].iter().any(|path| file_system.has(path));
        let reserve = if has_database { file_system.reserve() } else { 0 };
        Ok(Self { free: file_system.free, reserve, max: max.unwrap_or(u64::MAX) })
    }

    /// What may be written besides what stays free.
    fn available(&self) -> u64 {
        self.free.saturating_sub(self.reserve)
    }

    /// How large an archive that has so many bytes can become.
    pub(super) fn limit(&self, bytes: u64) -> u64 {
        self.max.min(bytes.saturating_add(self.available()))
    }

    /// Refuses an archive of so many bytes that has no more room. One that was refused before needs clearly more.
    pub(super) fn require(&self, bytes: u64, was_refused: bool, directory: &Path) -> Result<(), Error> {
        let (needed, max) = match was_refused {
            true => (self.reserve * 2, self.max / 10 * 9),
            false => (self.reserve, self.max),
        };
        let path = directory.to_owned();
        if self.free < needed {
            return Err(Error::NoSpaceBesideDatabase { path, free: self.free >> 20, needed: needed >> 20 });
        }
        if bytes > max {
            return Err(Error::ArchiveFull { path, size: bytes >> 20, max: max >> 20 });
        }
        Ok(())
    }

    /// Refuses a base of a database of this size for which there is no room beside the WAL that is written meanwhile. A compressed base has at most about half
    /// the size.
    pub(super) fn require_for_base(&self, database_bytes: u64, rate: WalRate, directory: &Path) -> Result<(), Error> {
        let wal = rate.bytes_per_second.saturating_mul(database_bytes / BASE_BYTES_PER_SECOND + 1);
        let (free, needed) = (self.available(), database_bytes / 2 + FREE_BESIDE_BASE + wal);
        if free >= needed {
            return Ok(());
        }
        Err(Error::NoSpaceForBase { path: directory.to_owned(), free: free >> 20, needed: needed >> 20 })
    }
}

/// The size of what an owner has in an archive, in bytes.
pub(super) fn size(archive: &Path, owner: &Owner) -> Result<u64, Error> {
    let own = Lineage::all(archive)?.into_iter().filter(|lineage| owner.has_lineage(&lineage.path));
    // What cannot be read does not hide the rest.
    Ok(own.filter_map(|lineage| lineage.size().ok()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn the_archive_is_refused_before_it_takes_the_space_of_the_database() {
        let room = Room { free: 100 * MB, reserve: 64 * MB, max: u64::MAX };
        let path = Path::new("/srv");
        room.require(500 * MB, false, path).unwrap();
        assert_eq!(room.limit(500 * MB), 536 * MB);
        let full = Room { free: 63 * MB, ..room };
        assert_eq!(full.limit(500 * MB), 500 * MB);
        assert!(matches!(full.require(0, false, path), Err(Error::NoSpaceBesideDatabase { .. })));
        // Not before there is clearly more room.
        assert!(room.require(0, true, path).is_err());
        Room { free: 128 * MB, ..room }.require(0, true, path).unwrap();
        // On a file system of its own, it may fill it.
        Room { free: 0, reserve: 0, ..room }.require(500 * MB, false, path).unwrap();
    }

    #[test]
    fn the_archive_is_refused_beyond_its_largest_size() {
        let room = Room { free: 1000 * MB, reserve: 64 * MB, max: 100 * MB };
        let path = Path::new("/srv");
        room.require(100 * MB, false, path).unwrap();
        assert_eq!(room.limit(10 * MB), 100 * MB);
        assert!(matches!(room.require(101 * MB, false, path), Err(Error::ArchiveFull { .. })));
        assert!(room.require(91 * MB, true, path).is_err());
        room.require(90 * MB, true, path).unwrap();
    }

    #[test]
    fn a_base_needs_room_beside_the_wal_that_is_written_meanwhile() {
        let room = Room { free: 300 * MB, reserve: 64 * MB, max: u64::MAX };
        let path = Path::new("/srv");
        room.require_for_base(300 * MB, WalRate::default(), path).unwrap();
        let refused = room.require_for_base(400 * MB, WalRate::default(), path);
        assert!(matches!(refused, Err(Error::NoSpaceForBase { free: 236, needed: 264, .. })));
    }
}
