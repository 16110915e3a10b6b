//! The archive of point-in-time recovery: `wal` in the directory of backups.
//!
//! Policy: a lineage is an unbroken stretch of WAL, of one cluster (by its system identifier) and one timeline, with base backups in it. Whenever the WAL
//! that follows may not continue what is there (after a restore, an upgrade, a lost slot), a new lineage begins. So within a
//! lineage every moment from the end of its first base to its end can be restored, and what lies between two lineages cannot.
//!
//! `SYSTEM-TIMELINE-TIME/` has `segments/`, the files of WAL as `pg_receivewal` writes them; for each base `base-TIME.tar.zst` and, when that is
//! complete, `base-TIME.json`; and `confirmed`, an empty file whose time of modification is a moment before which every commit is in the segments.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Error;
use super::layout::{TIME_FORMAT, make_private_dir};
use super::wal_segment::{Lsn, PARTIAL_SUFFIX, Segment};
use crate::managed::secret_file::sync_parent;

const ARCHIVE_DIRECTORY: &str = "wal";
const SEGMENTS_DIRECTORY: &str = "segments";
const CONFIRMED: &str = "confirmed";
const BASE_PREFIX: &str = "base-";
const DESCRIPTION_SUFFIX: &str = ".json";
/// After the description's name, instead of its suffix.
pub(super) const BASE_SUFFIX: &str = ".tar.zst";

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

/// What a complete base backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base {
    /// The end of the backup: the first moment that it can restore (RFC 3339).
    pub(super) from: String,
    /// A position at or before the first WAL that it needs.
    pub(super) start: String,
    /// The major version of PostgreSQL.
    pub(super) postgres: u32,
    /// The version of the appliance.
    pub(super) appliance: String,
    /// The size of the tar, in bytes.
    pub(super) unpacked_bytes: u64,
    /// The checksum of the compressed tar.
    pub(super) sha256: String,
    /// Its file.
    #[serde(skip)]
    pub(super) file: PathBuf,
}

impl Base {
    /// The first moment that it can restore.
    pub(super) fn from(&self) -> Result<Timestamp, Error> {
        self.from.parse().map_err(|_| self.damaged())
    }

    /// The number of the first segment that it needs.
    pub(super) fn first_segment(&self) -> Result<u64, Error> {
        Lsn::parse(&self.start).map(Lsn::segment).ok_or_else(|| self.damaged())
    }

    /// The file with its description.
    pub(super) fn description(&self) -> PathBuf {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        self.file.with_file_name(name.replace(BASE_SUFFIX, DESCRIPTION_SUFFIX))
    }

    fn damaged(&self) -> Error {
        Error::Altered { what: "the description of a base", position: 0 }.of(&self.file)
    }
}

impl Lineage {
    /// Begins one.
    pub(super) fn begin(archive: &Path, system: u64, timeline: u32, now: Timestamp) -> Result<Self, Error> {
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

    /// Its complete bases, the oldest first.
    pub(super) fn bases(&self) -> Result<Vec<Base>, Error> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(Error::at(&self.path))?.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix(DESCRIPTION_SUFFIX).filter(|stem| stem.starts_with(BASE_PREFIX)) else {
                continue;
            };
            let text = fs::read_to_string(&path).map_err(Error::at(&path))?;
            let damaged = || Error::Altered { what: "the description of a base", position: 0 }.of(&path);
            let mut base: Base = serde_json::from_str(&text).map_err(|_| damaged())?;
            base.file = self.path.join(format!("{stem}{BASE_SUFFIX}"));
            found.push((base.from()?, base));
        }
        found.sort_by_key(|(from, _)| *from);
        Ok(found.into_iter().map(|(_, base)| base).collect())
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
        let Some(first) = self.bases()?.into_iter().next() else { return Ok(None) };
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

/// What can be restored from the archive in a directory of backups, the oldest window first.
///
/// # Errors
/// When the archive cannot be read.
pub fn windows(backups: &Path) -> Result<Vec<Window>, Error> {
    let lineages = Lineage::all(&archive(backups))?;
    let windows: Result<Vec<Option<Window>>, Error> = lineages.iter().map(Lineage::window).collect();
    Ok(windows?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_lineage_is_found_again_and_its_window_ends_with_the_last_confirmation() {
        let directory = archive(&scratch("lineage"));
        let lineage = Lineage::begin(&directory, 7_000_000_000_000_000_001, 2, at("2026-01-31T12:00:00.5Z")).unwrap();
        let next = Lineage::begin(&directory, 7_000_000_000_000_000_001, 2, at("2026-01-31T12:00:00.5Z")).unwrap();
        assert_eq!(Lineage::all(&directory).unwrap(), [lineage.clone(), next]);
        assert_eq!(lineage.window().unwrap(), None);
        let (_, description) = lineage.base_files(at("2026-01-31T12:00:01Z"));
        let text = r#"{"from":"2026-01-31T12:00:02Z","start":"0/3000028","postgres":16,"appliance":"1","unpacked_bytes":1,"sha256":"a"}"#;
        fs::write(description, text).unwrap();
        assert_eq!(lineage.window().unwrap(), None);
        lineage.confirm(at("2026-01-31T12:00:03.5Z")).unwrap();
        let expected = Window { from: at("2026-01-31T12:00:02Z"), to: at("2026-01-31T12:00:03.5Z") };
        assert_eq!(lineage.window().unwrap(), Some(expected));
        let base = &lineage.bases().unwrap()[0];
        assert_eq!(base.first_segment().unwrap(), 3);
        assert!(base.file.ends_with("base-2026-01-31T120001Z.tar.zst"));
    }

    #[test]
    fn a_complete_segment_takes_precedence_over_its_partial_file() {
        let directory = archive(&scratch("segments"));
        let lineage = Lineage::begin(&directory, 1, 1, at("2026-01-31T12:00:00Z")).unwrap();
        let names =
            ["000000010000000000000001", "000000010000000000000001.partial", "000000010000000000000002.partial"];
        for name in names.into_iter().chain(["00000002.history", "000000020000000000000003", "letter"]) {
            fs::write(lineage.segments_directory().join(name), "").unwrap();
        }
        let found = lineage.segments().unwrap();
        let found: Vec<_> = found.iter().map(|(n, path)| (*n, path.file_name().unwrap().to_str().unwrap())).collect();
        assert_eq!(found, [(1, names[0]), (2, names[2])]);
    }
}
