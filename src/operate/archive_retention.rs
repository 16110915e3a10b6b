//! What of the archive is removed.
//!
//! Policy: a base is needed until the next one is old enough to restore every moment that is kept. WAL before the oldest base is of no use. A lineage that has
//! ended is removed when all of it is too old.

use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::Error;
use super::lineage::{Base, Lineage};

/// Removes what is older than so many days; of the lineage `current`, what restores later moments stays.
pub(super) fn prune(archive: &Path, current: &Lineage, days: i64, now: Timestamp) -> Result<(), Error> {
    let oldest = now - SignedDuration::from_hours(24 * days);
    for lineage in Lineage::all(archive)? {
        let has_ended = lineage != *current && lineage.system == current.system;
        let end = if has_ended { lineage.latest()?.unwrap_or(lineage.begun) } else { now };
        if end < oldest {
            fs::remove_dir_all(&lineage.path).map_err(Error::at(&lineage.path))?;
            tracing::info!(directory = %lineage.path.display(), "removed WAL and base backups that are too old");
        } else if lineage.system == current.system {
            prune_lineage(&lineage, oldest)?;
        }
    }
    Ok(())
}

fn prune_lineage(lineage: &Lineage, oldest: Timestamp) -> Result<(), Error> {
    let bases = lineage.bases()?;
    let times: Vec<Timestamp> = bases.iter().map(Base::from).collect::<Result<_, _>>()?;
    let unneeded = unneeded(&times, oldest);
    for base in &bases[..unneeded] {
        // The description first: without it, the rest is no base.
        for path in [&base.description(), &base.file] {
            fs::remove_file(path).map_err(Error::at(path))?;
        }
    }
    // A clock that was set back puts them in another order than their WAL.
    let needed: Vec<u64> = bases[unneeded..].iter().map(Base::first_segment).collect::<Result<_, _>>()?;
    let Some(first) = needed.into_iter().min() else { return Ok(()) };
    for (_, path) in lineage.segments()?.into_iter().take_while(|(number, _)| *number < first) {
        fs::remove_file(&path).map_err(Error::at(&path))?;
    }
    Ok(())
}

/// How many of the bases, which are in order, are not needed for moments from `oldest` on.
fn unneeded(times: &[Timestamp], oldest: Timestamp) -> usize {
    times.iter().skip(1).take_while(|next| **next <= oldest).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_base_is_needed_until_the_next_one_is_old_enough() {
        let times: Vec<_> = (1..=5).map(|day| at(&format!("2026-01-0{day}T00:00:00Z"))).collect();
        for (oldest, expected) in [
            ("2025-12-31T00:00:00Z", 0),
            ("2026-01-01T12:00:00Z", 0),
            ("2026-01-02T00:00:00Z", 1),
            ("2026-01-03T12:00:00Z", 2),
            ("2026-02-01T00:00:00Z", 4),
        ] {
            assert_eq!(unneeded(&times, at(oldest)), expected, "{oldest}");
        }
        assert_eq!(unneeded(&[], at("2026-01-01T00:00:00Z")), 0);
    }

    fn write_base(lineage: &Lineage, from: Timestamp, segment: u64) {
        let (file, description) = lineage.base_files(from);
        fs::write(file, "").unwrap();
        let text = format!(
            r#"{{"from":"{from}","start":"0/{segment}000028","postgres":16,"appliance":"1","unpacked_bytes":1,"sha256":""}}"#
        );
        fs::write(description, text).unwrap();
    }

    fn write_segments(lineage: &Lineage, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            let name = super::super::wal_segment::Segment { timeline: lineage.timeline, number }.name();
            fs::write(lineage.segments_directory().join(name), "").unwrap();
        }
    }

    #[test]
    fn wal_of_a_base_that_was_made_before_the_clock_was_set_back_stays() {
        let archive = scratch("archive-retention-clock");
        let lineage = Lineage::begin(&archive, 5, 1, at("2026-01-01T00:00:00Z")).unwrap();
        write_base(&lineage, at("2026-01-02T12:00:00Z"), 3);
        write_base(&lineage, at("2026-01-02T11:30:00Z"), 5);
        write_segments(&lineage, 2..=6);
        prune(&archive, &lineage, 7, at("2026-01-03T00:00:00Z")).unwrap();
        assert_eq!(lineage.bases().unwrap().len(), 2);
        assert_eq!(lineage.segments().unwrap().into_keys().collect::<Vec<_>>(), [3, 4, 5, 6]);
    }

    #[test]
    fn old_bases_go_with_their_wal_and_old_lineages_as_a_whole() {
        let archive = scratch("archive-retention");
        let begin = |timeline, time| Lineage::begin(&archive, 5, timeline, at(time)).unwrap();
        let old = begin(1, "2026-01-01T00:00:00Z");
        let current = begin(2, "2026-01-02T00:00:00Z");
        let other = Lineage::begin(&archive, 6, 1, at("2026-01-01T00:00:00Z")).unwrap();
        for lineage in [&old, &other] {
            lineage.confirm(at("2026-01-01T12:00:00Z")).unwrap();
        }
        for (day, segment) in [(2, 3), (6, 5), (12, 9)] {
            write_base(&current, at(&format!("2026-01-{day:02}T00:00:00Z")), segment);
        }
        write_segments(&current, 3..=10);
        prune(&archive, &current, 7, at("2026-01-14T00:00:00Z")).unwrap();
        assert!(!old.path.exists() && other.path.exists());
        assert_eq!(current.bases().unwrap().len(), 2);
        assert_eq!(current.segments().unwrap().into_keys().collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
    }
}
