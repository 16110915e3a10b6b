//! Which backups are kept.
//!
//! Policy: of each of the last days, weeks and months that have a backup, the newest one; in any case the newest of all. Backups with a label are never
//! removed, and neither are those that another data directory has made: several appliances may have one directory of backups.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::ownership::Owner;
use super::{Error, directory};
use crate::config::Keep;

/// Removes the backups that are not kept any more, and returns their paths.
///
/// # Errors
/// When the directory cannot be read, or a file cannot be removed.
pub fn prune(directory: &Path, owner: &Owner, keep: &Keep) -> Result<Vec<PathBuf>, Error> {
    let mut backups = directory::backups(directory)?;
    backups.retain(|(name, path)| name.label.is_none() && owner.has_backup(path));
    let times: Vec<Timestamp> = backups.iter().map(|(name, _)| name.time).collect();
    let kept = kept(&times, keep);
    let mut removed = Vec::new();
    for (_, path) in
        backups.into_iter().enumerate().filter(|(number, _)| !kept.contains(number)).map(|(_, backup)| backup)
    {
        fs::remove_file(&path).map_err(Error::at(&path))?;
        removed.push(path);
    }
    Ok(removed)
}

/// The positions of the times that are kept. `times` are in order, the oldest first.
fn kept(times: &[Timestamp], keep: &Keep) -> BTreeSet<usize> {
    let dates: Vec<Date> = times.iter().map(|time| time.to_zoned(TimeZone::UTC).date()).collect();
    let mut kept: BTreeSet<usize> = times.len().checked_sub(1).into_iter().collect();
    kept.extend(newest_of_each(&dates, keep.daily, |date| (date.year(), date.day_of_year())));
    kept.extend(newest_of_each(&dates, keep.weekly, |date| {
        let week = date.iso_week_date();
        (week.year(), i16::from(week.week()))
    }));
    kept.extend(newest_of_each(&dates, keep.monthly, |date| (date.year(), i16::from(date.month()))));
    kept
}

/// The newest position of each of the last `count` periods.
fn newest_of_each(dates: &[Date], count: usize, period: impl Fn(Date) -> (i16, i16)) -> Vec<usize> {
    let mut found = Vec::new();
    let mut last = None;
    for (number, date) in dates.iter().enumerate().rev() {
        let this = Some(period(*date));
        if this == last {
            continue;
        }
        if found.len() == count {
            break;
        }
        last = this;
        found.push(number);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::super::state::State;
    use super::*;
    use crate::managed::testing::scratch;

    /// The days that are kept of one backup a day up to and including the 31st of March 2026.
    fn days(count: i64, daily: usize, weekly: usize, monthly: usize) -> Vec<String> {
        let last: Timestamp = "2026-03-31T03:15:00Z".parse().unwrap();
        let times: Vec<Timestamp> =
            (0..count).rev().map(|back| Timestamp::from_second(last.as_second() - back * 86_400).unwrap()).collect();
        let kept = kept(&times, &Keep { daily, weekly, monthly });
        kept.iter().map(|number| times[*number].strftime("%m-%d").to_string()).collect()
    }

    #[test]
    fn the_newest_of_each_day_week_and_month_is_kept() {
        assert_eq!(days(90, 3, 0, 0), ["03-29", "03-30", "03-31"]);
        // The weeks end on Sunday, the 29th and the 22nd.
        assert_eq!(days(90, 0, 3, 0), ["03-22", "03-29", "03-31"]);
        assert_eq!(days(90, 0, 0, 3), ["01-31", "02-28", "03-31"]);
        assert_eq!(days(90, 2, 2, 2), ["02-28", "03-29", "03-30", "03-31"]);
    }

    #[test]
    fn the_newest_is_kept_in_any_case_and_gaps_do_not_count() {
        assert_eq!(days(5, 0, 0, 0), ["03-31"]);
        assert_eq!(days(2, 7, 4, 12), ["03-30", "03-31"]);
        assert!(kept(&[], &Keep { daily: 1, weekly: 1, monthly: 1 }).is_empty());
    }

    #[test]
    fn of_several_backups_of_one_day_the_newest_is_kept() {
        let times = ["2026-03-30T01:00:00Z", "2026-03-30T05:00:00Z", "2026-03-31T01:00:00Z", "2026-03-31T05:00:00Z"];
        let times: Vec<Timestamp> = times.iter().map(|time| time.parse().unwrap()).collect();
        let kept = kept(&times, &Keep { daily: 7, weekly: 0, monthly: 0 });
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn backups_of_another_data_directory_and_labelled_ones_stay() {
        let (data, shared) = (scratch("retention-data"), scratch("retention-shared"));
        let layout = Layout::new(&data);
        let names = ["01-01T000000Z", "01-02T000000Z", "01-03T000000Z", "01-04T000000Z", "01-05T000000Z-mine"];
        let paths = names.map(|name| shared.join(format!("attendance-api-2026-{name}.tar")));
        for path in &paths {
            fs::write(path, "").unwrap();
        }
        // The second and the newest are of another one.
        let own = [0, 2, 4].map(|number: usize| paths[number].clone());
        State::update(&layout, |state| state.files = own.to_vec()).unwrap();
        let owner = Owner::read(&layout, &shared);
        let removed = prune(&shared, &owner, &Keep { daily: 1, weekly: 0, monthly: 0 }).unwrap();
        assert_eq!(removed, [paths[0].clone()]);
        let left: Vec<bool> = paths.iter().map(|path| path.exists()).collect();
        assert_eq!(left, [false, true, true, true, true]);
    }
}
