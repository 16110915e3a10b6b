//! The archive of point-in-time recovery: `wal` in the directory of backups.
//!
//! Policy: a lineage is an unbroken stretch of WAL, of one cluster (by its system identifier) and one timeline, with base backups in it. Whenever the WAL
//! that follows may not continue what is there (after a restore, an upgrade, a lost slot), a new lineage begins. So within a
//! lineage every moment from the end of its first base to its end can be restored, and what lies between two lineages cannot.
//!
//! `SYSTEM-TIMELINE-TIME/` has `segments/`, the files of WAL as `pg_receivewal` writes them; for each base `base-TIME.tar.zst` and, when that is
//! complete, `base-TIME.json`; `owner`, with the identity of the data directory that writes it; and `confirmed`, an empty file whose time of modification is a
//! moment before which every commit is in the segments. What cannot be read of one lineage does not stop the work with others.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Error;
use super::base_description::{BASE_PREFIX, BASE_SUFFIX, Bases, DESCRIPTION_SUFFIX, DamagedFile};
use super::layout::{TIME_FORMAT, make_private_dir};
use super::ownership::Owner;
use super::wal_segment::{Lsn, PARTIAL_SUFFIX, Segment};
use crate::managed::secret_file::sync_parent;

const ARCHIVE_DIRECTORY: &str = "wal";
const SEGMENTS_DIRECTORY: &str = "segments";
const CONFIRMED: &str = "confirmed";
/// Before the name of a lineage that is being removed.
const REMOVED_PREFIX: &str = ".removed-";

/// The directory of all lineages.
pub(super) fn archive(backups: &Path) -> PathBuf {
    backups.join(ARCHIVE_DIRECTORY)
}

/// An unbroken stretch of WAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lineage {
    pub(super) path: PathBuf,
    /// The system identifier of its cluster.
    pub(super) system: u64,
    pub(super) timeline: u32,
    pub(super) begun: Timestamp,
}

impl Lineage {
    /// Begins one.
    pub(super) fn begin(
        archive: &Path,
        owner: &Owner,
        system: u64,
        timeline: u32,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let begun = super::state::whole_seconds(now);
        let name = |begun: Timestamp| format!("{system}-{timeline:08X}-{}", begun.strftime(TIME_FORMAT));
        let mut lineage = Self { path: archive.join(name(begun)), system, timeline, begun };
        // Two may begin in one second.
        while lineage.path.exists() {
            lineage.begun += jiff::SignedDuration::from_secs(1);
            lineage.path = archive.join(name(lineage.begun));
        }
        let segments = lineage.segments_directory();
        make_private_dir(&segments).map_err(Error::at(&segments))?;
        owner.mark(&lineage.path)?;
        // A power failure must not lose the directory of segments that are on disk.
        for path in [segments.as_path(), lineage.path.as_path(), archive] {
            sync_parent(path).map_err(Error::at(path))?;
        }
        Ok(lineage)
    }

    fn parse(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let mut fields = name.splitn(3, '-');
        let system = fields.next()?.parse().ok()?;
        let timeline = u32::from_str_radix(fields.next()?, 16).ok()?;
        let begun = DateTime::strptime(TIME_FORMAT, fields.next()?).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Some(Self { path, system, timeline, begun })
    }

    /// The lineages of an archive, the oldest first; none if there is no archive.
    pub(super) fn all(archive: &Path) -> Result<Vec<Self>, Error> {
        let entries = match fs::read_dir(archive) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::at(archive))?,
        };
        let mut found: Vec<Self> = entries.flatten().filter_map(|entry| Self::parse(entry.path())).collect();
        found.sort_by(|one, other| (one.begun, &one.path).cmp(&(other.begun, &other.path)));
        Ok(found)
    }

    /// The directory of its segments.
    pub(super) fn segments_directory(&self) -> PathBuf {
        self.path.join(SEGMENTS_DIRECTORY)
    }

    /// The names of the files of a base.
    pub(super) fn base_files(&self, time: Timestamp) -> (PathBuf, PathBuf) {
        let file = |suffix: &str| self.path.join(format!("{BASE_PREFIX}{}{suffix}", time.strftime(TIME_FORMAT)));
        (file(BASE_SUFFIX), file(DESCRIPTION_SUFFIX))
    }

    /// Its bases.
    pub(super) fn bases(&self) -> Result<Bases, Error> {
        Bases::read(&self.path)
    }

    /// Brings to the disk what was written up to this position. What is before the segment of this position was brought there by the receiver, which does so
    /// when a file is complete. False if the file was renamed meanwhile.
    pub(super) fn sync(&self, position: Lsn) -> Result<bool, Error> {
        // At the end of a file, it may be the last position of that one or the first of the next.
        let number = Lsn(position.0.saturating_sub(1)).segment();
        let name = Segment { timeline: self.timeline, number }.name();
        let directory = self.segments_directory();
        for name in [format!("{name}{PARTIAL_SUFFIX}"), name] {
            let path = directory.join(name);
            match File::open(&path).and_then(|file| file.sync_data()) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::at(&path)(error)),
            }
        }
        Ok(false)
    }

    /// Removes it as a whole: whatever is left after a crash is no lineage any more, and [`remove_left_over`] removes it.
    pub(super) fn remove(&self) -> Result<(), Error> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let removed = self.path.with_file_name(format!("{REMOVED_PREFIX}{name}"));
        fs::rename(&self.path, &removed).and_then(|()| fs::remove_dir_all(&removed)).map_err(Error::at(&self.path))
    }

    /// The size of its files, in bytes.
    pub(super) fn size(&self) -> Result<u64, Error> {
        let mut bytes = 0;
        for directory in [self.segments_directory(), self.path.clone()] {
            for entry in fs::read_dir(&directory).map_err(Error::at(&directory))?.flatten() {
                // One that is renamed meanwhile counts next time.
                bytes += entry.metadata().map_or(0, |found| if found.is_file() { found.len() } else { 0 });
            }
        }
        Ok(bytes)
    }

    /// Its segments by their number, each with its file. Of one that is there twice, the complete one.
    pub(super) fn segments(&self) -> Result<BTreeMap<u64, PathBuf>, Error> {
        let directory = self.segments_directory();
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&directory).map_err(Error::at(&directory))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let whole = name.strip_suffix(PARTIAL_SUFFIX).unwrap_or(&name);
            let Some(segment) = Segment::parse(whole).filter(|segment| segment.timeline == self.timeline) else {
                continue;
            };
            if whole == name || !found.contains_key(&segment.number) {
                found.insert(segment.number, entry.path());
            }
        }
        Ok(found)
    }

    /// The segments from one on.
    ///
    /// # Errors
    /// When one is missing.
    pub(super) fn segments_from(&self, first: u64) -> Result<BTreeMap<u64, PathBuf>, Error> {
        let segments = self.segments()?.split_off(&first);
        let expected = first..first + segments.len().max(1) as u64;
        match expected.into_iter().find(|number| !segments.contains_key(number)) {
            None => Ok(segments),
            Some(number) => {
                let segment = Segment { timeline: self.timeline, number }.name();
                Err(Error::WalMissing { path: self.segments_directory(), segment })
            }
        }
    }

    /// The position after the last byte of the WAL that is not zero: files are filled with zeros first.
    pub(super) fn end_of_data(&self) -> Result<Lsn, Error> {
        for (number, path) in self.segments()?.into_iter().rev() {
            let bytes = fs::read(&path).map_err(Error::at(&path))?;
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                return Ok(Lsn(Segment { timeline: self.timeline, number }.start().0 + last as u64 + 1));
            }
        }
        Ok(Lsn(0))
    }

    /// Notes that every commit before this moment is in the segments. It is not brought to the disk: after a power failure, the segments say nearly as much.
    pub(super) fn confirm(&self, moment: Timestamp) -> Result<(), Error> {
        let path = self.path.join(CONFIRMED);
        let file = File::options().append(true).create(true).mode(0o600).open(&path).map_err(Error::at(&path))?;
        file.set_modified(moment.into()).map_err(Error::at(&path))
    }

    /// The last moment that can be restored: the last confirmation, or the last write of WAL.
    pub(super) fn latest(&self) -> Result<Option<Timestamp>, Error> {
        let newest = self.segments()?.into_values().next_back();
        let modified = |path: PathBuf| path.metadata().and_then(|found| found.modified()).ok();
        let times: Option<SystemTime> =
            [Some(self.path.join(CONFIRMED)), newest].into_iter().flatten().filter_map(modified).max();
        Ok(times.and_then(|time| Timestamp::try_from(time).ok()))
    }

    /// The moments that can be restored; none before the first base is complete.
    pub(super) fn window(&self) -> Result<Option<Window>, Error> {
        let Some(first) = self.bases()?.good.into_iter().next() else { return Ok(None) };
        let from = first.from()?;
        Ok(self.latest()?.filter(|to| *to >= from).map(|to| Window { from, to }))
    }
}

/// The moments that can be restored, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
}

/// A window of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedWindow {
    /// The moments.
    pub window: Window,
    /// Whether the lineage belongs to this data directory.
    pub is_own: bool,
}

/// What an archive has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// What can be restored from it, the oldest window first.
    pub windows: Vec<ListedWindow>,
    /// What cannot be used.
    pub damaged: Vec<DamagedFile>,
}

/// What the archive in a directory of backups has.
///
/// # Errors
/// When the archive cannot be read.
pub fn contents(backups: &Path, owner: &Owner) -> Result<Contents, Error> {
    let mut found = Contents::default();
    for lineage in Lineage::all(&archive(backups))? {
        match lineage.bases().and_then(|bases| Ok((lineage.window()?, bases.damaged))) {
            Ok((window, damaged)) => {
                let is_own = owner.has_lineage(&lineage.path);
                found.windows.extend(window.map(|window| ListedWindow { window, is_own }));
                found.damaged.extend(damaged);
            }
            Err(error) => found.damaged.push(DamagedFile { file: lineage.path, problem: error.to_string() }),
        }
    }
    Ok(found)
}

/// Removes what interrupted removals of lineages left.
pub(super) fn remove_left_over(archive: &Path) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(archive) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(REMOVED_PREFIX)) {
        fs::remove_dir_all(entry.path()).map_err(Error::at(&entry.path()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::*;
    use crate::managed::testing::{Scratch, scratch};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// An archive in a data directory.
    fn archive_and_owner(name: &str) -> (Scratch, PathBuf, Owner) {
        let data = scratch(name);
        let layout = Layout::new(&data);
        let owner = Owner::identified(&layout, &layout.default_backups()).unwrap();
        (data, archive(&layout.default_backups()), owner)
    }

    #[test]
    fn a_lineage_is_found_again_and_its_window_ends_with_the_last_confirmation() {
        let (_data, directory, owner) = archive_and_owner("lineage");
        let begin = || Lineage::begin(&directory, &owner, 7_000_000_000_000_000_001, 2, at("2026-01-31T12:00:00.5Z"));
        let (lineage, next) = (begin().unwrap(), begin().unwrap());
        assert_eq!(Lineage::all(&directory).unwrap(), [lineage.clone(), next]);
        assert_eq!(lineage.window().unwrap(), None);
        let (file, description) = lineage.base_files(at("2026-01-31T12:00:01Z"));
        fs::write(file, "").unwrap();
        let text = r#"{"from":"2026-01-31T12:00:02Z","start":"0/3000028","postgres":16,"appliance":"1","unpacked_bytes":1,"sha256":"a"}"#;
        fs::write(description, text).unwrap();
        assert_eq!(lineage.window().unwrap(), None);
        lineage.confirm(at("2026-01-31T12:00:03.5Z")).unwrap();
        let expected = Window { from: at("2026-01-31T12:00:02Z"), to: at("2026-01-31T12:00:03.5Z") };
        assert_eq!(lineage.window().unwrap(), Some(expected));
        let base = &lineage.bases().unwrap().good[0];
        assert_eq!(base.first_segment().unwrap(), 3);
        assert!(base.file.ends_with("base-2026-01-31T120001Z.tar.zst"));
    }

    #[test]
    fn a_complete_segment_takes_precedence_over_its_partial_file() {
        let (_data, directory, owner) = archive_and_owner("segments");
        let lineage = Lineage::begin(&directory, &owner, 1, 1, at("2026-01-31T12:00:00Z")).unwrap();
        let names =
            ["000000010000000000000001", "000000010000000000000001.partial", "000000010000000000000002.partial"];
        for name in names.into_iter().chain(["00000002.history", "000000020000000000000003", "letter"]) {
            fs::write(lineage.segments_directory().join(name), "").unwrap();
        }
        let found = lineage.segments().unwrap();
        let found: Vec<_> = found.iter().map(|(n, path)| (*n, path.file_name().unwrap().to_str().unwrap())).collect();
        assert_eq!(found, [(1, names[0]), (2, names[2])]);
    }

    #[test]
    fn one_lineage_that_cannot_be_read_does_not_hide_the_others() {
        let (_data, directory, owner) = archive_and_owner("unreadable-lineage");
        let lineage = Lineage::begin(&directory, &owner, 1, 1, at("2026-01-31T12:00:00Z")).unwrap();
        let broken = Lineage::begin(&directory, &owner, 1, 2, at("2026-01-31T13:00:00Z")).unwrap();
        fs::remove_dir_all(&broken.path).unwrap();
        fs::write(&broken.path, "no directory").unwrap();
        let (file, description) = lineage.base_files(at("2026-01-31T12:00:01Z"));
        fs::write(file, "").unwrap();
        let text = r#"{"from":"2026-01-31T12:00:02Z","start":"0/3000028","postgres":16,"appliance":"1","unpacked_bytes":1,"sha256":"a"}"#;
        fs::write(description, text).unwrap();
        let (_, damaged) = lineage.base_files(at("2026-01-31T12:00:05Z"));
        fs::write(&damaged, "{").unwrap();
        lineage.confirm(at("2026-01-31T12:00:03Z")).unwrap();
        let found = contents(directory.parent().unwrap(), &owner).unwrap();
        assert_eq!(found.windows.len(), 1);
        assert!(found.windows[0].is_own);
        let files: Vec<_> = found.damaged.into_iter().map(|damaged| damaged.file).collect();
        assert_eq!(files, [damaged, broken.path]);
    }

    #[test]
    fn an_interrupted_removal_leaves_no_lineage_and_is_finished_later() {
        let (_data, directory, owner) = archive_and_owner("removed-lineage");
        let lineage = Lineage::begin(&directory, &owner, 1, 1, at("2026-01-31T12:00:00Z")).unwrap();
        let name = lineage.path.file_name().unwrap().to_string_lossy().into_owned();
        fs::rename(&lineage.path, directory.join(format!("{REMOVED_PREFIX}{name}"))).unwrap();
        assert_eq!(Lineage::all(&directory).unwrap(), []);
        remove_left_over(&directory).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
}
