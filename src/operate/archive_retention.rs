//! Removes the parts of the archive that are not needed any more.
//!
//! Policy: a base is needed until the next one is old enough to restore every moment that is kept. WAL before the oldest base is of no use. A lineage that has
//! ended, of this or an earlier cluster of the data directory, is removed when all of it is too old; the last one that can be restored stays until the
//! current lineage has a base. Lineages of other data directories, and those that another process writes, are left alone. What cannot be read is left
//! where it is, with a warning, and the rest is looked at.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::Error;
use super::base_description::{Base, Bases};
use super::lineage::{self, Lineage};
use super::ownership::{self, Owner};

/// Removes what is older than so many days; of the lineage `current`, into which WAL is copied, what restores later moments stays. Returns the lineages
/// that were removed.
pub(super) fn prune(
    archive: &Path,
    owner: &Owner,
    current: Option<&Lineage>,
    days: i64,
    now: Timestamp,
) -> Result<Vec<PathBuf>, Error> {
    let oldest = now - SignedDuration::from_hours(24 * days);
    lineage::remove_left_over(archive)?;
    let mut own: Vec<Lineage> = Lineage::all(archive)?;
    own.retain(|lineage| owner.has_lineage(&lineage.path));
    let has_base = |lineage: &Lineage| lineage.window().is_ok_and(|window| window.is_some());
    let last_resort = match current {
        Some(current) if has_base(current) => None,
        _ => own.iter().rev().find(|lineage| has_base(lineage)).cloned(),
    };
    let mut removed = Vec::new();
    for lineage in own {
        let is_current = current == Some(&lineage);
        let is_needed = is_current || last_resort.as_ref() == Some(&lineage);
        match prune_lineage(&lineage, is_current, is_needed, oldest) {
            Ok(true) => removed.push(lineage.path),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(directory = %lineage.path.display(), %error, "what is too old of the archive cannot be removed");
            }
        }
    }
    Ok(removed)
}

/// Returns whether the whole lineage was removed.
fn prune_lineage(lineage: &Lineage, is_current: bool, is_needed: bool, oldest: Timestamp) -> Result<bool, Error> {
    // Its lock is held by this process.
    let lock = if is_current { None } else { Some(ownership::lock(&lineage.path)?) };
    if matches!(lock, Some(None)) {
        return Ok(false);
    }
    if !is_needed && lineage.latest()?.unwrap_or(lineage.begun) < oldest {
        lineage.remove()?;
        tracing::info!(directory = %lineage.path.display(), "removed WAL and base backups that are too old");
        return Ok(true);
    }
    remove_old_bases(lineage, oldest).map(|()| false)
}

fn remove_old_bases(lineage: &Lineage, oldest: Timestamp) -> Result<(), Error> {
    let Bases { good: bases, damaged } = lineage.bases()?;
    let times: Vec<Timestamp> = bases.iter().map(Base::from).collect::<Result<_, _>>()?;
    let unneeded = unneeded(&times, oldest);
    for base in &bases[..unneeded] {
        // The description first: without it, the rest is no base.
        for path in [&base.description(), &base.file] {
            fs::remove_file(path).map_err(Error::at(path))?;
        }
    }
    // Without its description, the files of a base are removed with what is not complete.
    for file in damaged.iter().filter(|file| file.begun().is_some_and(|begun| begun < oldest)) {
        fs::remove_file(&file.file).map_err(Error::at(&file.file))?;
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
    use super::super::layout::Layout;
    use super::*;
    use crate::managed::testing::{Scratch, scratch};

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

    /// The owner of what is in a data directory, and its archive.
    fn owned(name: &str) -> (Scratch, Owner, PathBuf) {
        let data = scratch(name);
        let layout = Layout::new(&data);
        let owner = Owner::identified(&layout, &layout.default_backups()).unwrap();
        (data, owner, lineage::archive(&layout.default_backups()))
    }

    fn is_there(lineage: &Lineage) -> bool {
        lineage.path.exists()
    }

    #[test]
    fn wal_of_a_base_that_was_made_before_the_clock_was_set_back_stays() {
        let (_data, owner, archive) = owned("archive-retention-clock");
        let lineage = Lineage::begin(&archive, &owner, 5, 1, at("2026-01-01T00:00:00Z")).unwrap();
        write_base(&lineage, at("2026-01-02T12:00:00Z"), 3);
        write_base(&lineage, at("2026-01-02T11:30:00Z"), 5);
        write_segments(&lineage, 2..=6);
        prune(&archive, &owner, Some(&lineage), 7, at("2026-01-03T00:00:00Z")).unwrap();
        assert_eq!(lineage.bases().unwrap().good.len(), 2);
        assert_eq!(lineage.segments().unwrap().into_keys().collect::<Vec<_>>(), [3, 4, 5, 6]);
    }

    #[test]
    fn old_bases_go_with_their_wal_and_old_lineages_of_any_cluster_as_a_whole() {
        let (_data, owner, archive) = owned("archive-retention");
        let begin = |system, timeline, time| Lineage::begin(&archive, &owner, system, timeline, at(time)).unwrap();
        let old = begin(5, 1, "2026-01-01T00:00:00Z");
        let current = begin(5, 2, "2026-01-02T00:00:00Z");
        let (other, newer) = (begin(6, 1, "2026-01-01T00:00:00Z"), begin(7, 1, "2026-01-01T00:00:00Z"));
        for (lineage, end) in
            [(&old, "2026-01-01T12:00:00Z"), (&other, "2026-01-06T23:59:59Z"), (&newer, "2026-01-07T00:00:00Z")]
        {
            lineage.confirm(at(end)).unwrap();
        }
        for (day, segment) in [(2, 3), (6, 5), (12, 9)] {
            write_base(&current, at(&format!("2026-01-{day:02}T00:00:00Z")), segment);
        }
        write_base(&newer, at("2026-01-03T00:00:00Z"), 3);
        write_segments(&current, 3..=10);
        prune(&archive, &owner, Some(&current), 7, at("2026-01-14T00:00:00Z")).unwrap();
        assert!(!is_there(&old) && !is_there(&other), "of the same and of an earlier cluster");
        assert!(is_there(&newer) && newer.window().unwrap().is_some(), "its last moment is not too old");
        assert_eq!(current.bases().unwrap().good.len(), 2);
        assert_eq!(current.segments().unwrap().into_keys().collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
        assert_eq!(fs::read_dir(&archive).unwrap().count(), 2, "nothing is left of removals");
    }

    #[test]
    fn the_last_lineage_that_can_be_restored_stays_until_the_current_one_has_a_base() {
        let (_data, owner, archive) = owned("archive-last-resort");
        let begin = |system, time| Lineage::begin(&archive, &owner, system, 1, at(time)).unwrap();
        let (older, old) = (begin(5, "2026-01-01T00:00:00Z"), begin(6, "2026-01-02T00:00:00Z"));
        for lineage in [&older, &old] {
            write_base(lineage, lineage.begun, 3);
            lineage.confirm(at("2026-01-03T00:00:00Z")).unwrap();
        }
        let current = begin(7, "2026-02-01T00:00:00Z");
        let now = at("2026-02-02T00:00:00Z");
        prune(&archive, &owner, Some(&current), 7, now).unwrap();
        assert!(!is_there(&older) && is_there(&old) && is_there(&current));
        prune(&archive, &owner, None, 7, now).unwrap();
        assert!(is_there(&old));
        write_base(&current, now, 3);
        current.confirm(now).unwrap();
        prune(&archive, &owner, Some(&current), 7, now).unwrap();
        assert!(!is_there(&old));
    }

    #[test]
    fn lineages_of_another_data_directory_or_process_are_left_alone() {
        let (one, shared) = (scratch("archive-of-one"), scratch("archive-shared"));
        let owner = |name| Owner::identified(&Layout::new(&one.join(name)), &shared).unwrap();
        let (own, other) = (owner("own"), owner("other"));
        let archive = lineage::archive(&shared);
        let begin = |owner, timeline| Lineage::begin(&archive, owner, 5, timeline, at("2026-01-01T00:00:00Z")).unwrap();
        let (theirs, used, current) = (begin(&other, 1), begin(&own, 2), begin(&own, 3));
        write_base(&current, at("2026-02-01T00:00:00Z"), 3);
        for lineage in [&theirs, &used] {
            lineage.confirm(lineage.begun).unwrap();
            write_base(lineage, at("2025-12-01T00:00:00Z"), 1);
            write_base(lineage, at("2025-12-02T00:00:00Z"), 2);
        }
        current.confirm(at("2026-02-01T00:00:00Z")).unwrap();
        let held = ownership::lock(&used.path).unwrap().unwrap();
        prune(&archive, &own, Some(&current), 1, at("2026-02-01T00:00:00Z")).unwrap();
        assert_eq!([&theirs, &used].map(|lineage| lineage.bases().unwrap().good.len()), [2, 2]);
        drop(held);
        prune(&archive, &own, Some(&current), 1, at("2026-02-01T00:00:00Z")).unwrap();
        assert!(is_there(&theirs) && !is_there(&used));
    }

    #[test]
    fn a_damaged_description_goes_when_it_is_too_old_and_prevents_nothing() {
        let (_data, owner, archive) = owned("archive-damaged");
        let current = Lineage::begin(&archive, &owner, 5, 1, at("2026-01-01T00:00:00Z")).unwrap();
        for (day, segment) in [(2, 3), (20, 9)] {
            write_base(&current, at(&format!("2026-01-{day:02}T00:00:00Z")), segment);
        }
        write_segments(&current, 3..=10);
        let damaged = |day: u32| {
            let (_, description) = current.base_files(at(&format!("2026-01-{day:02}T00:00:00Z")));
            fs::write(&description, "{").unwrap();
            description
        };
        let (old, new) = (damaged(3), damaged(25));
        prune(&archive, &owner, Some(&current), 7, at("2026-01-31T00:00:00Z")).unwrap();
        assert!(!old.exists() && new.exists());
        assert_eq!(current.segments().unwrap().into_keys().collect::<Vec<_>>(), [9, 10]);
    }
}
