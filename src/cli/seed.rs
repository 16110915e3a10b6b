//! Sample records for the demonstration. Apart from the dates, they are the same on every day.

use jiff::civil::{Date, Weekday};

use crate::appliance::SeedRecord;

const EMPLOYEES: usize = 50;
/// The working days of a month.
const DAYS: usize = 22;

const FIRST_NAMES: [&str; 10] = ["Asha", "Bruno", "Chen", "Dalia", "Emeka", "Freya", "Goran", "Hana", "Imran", "Jonas"];
const LAST_NAMES: [&str; 10] =
    ["Almeida", "Bauer", "Costa", "Dubey", "Eriksen", "Fischer", "Gupta", "Haddad", "Ito", "Jansen"];

/// A record for each of 50 employees on each of the last 22 working days up to today, the oldest day first.
pub fn records(today: Date) -> Vec<SeedRecord> {
    let mut days = working_days(today);
    days.reverse();
    let of_day = |(day, date): (usize, &Date)| {
        let date = date.to_string();
        (0..EMPLOYEES).map(move |employee| record(employee, day, date.clone())).collect::<Vec<_>>()
    };
    days.iter().enumerate().flat_map(of_day).collect()
}

fn working_days(today: Date) -> Vec<Date> {
    let mut days = Vec::with_capacity(DAYS);
    let mut date = Some(today);
    while let Some(day) = date.filter(|_| days.len() < DAYS) {
        if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            days.push(day);
        }
        date = day.yesterday().ok();
    }
    days
}

fn record(employee: usize, day: usize, date: String) -> SeedRecord {
    // Each group of ten employees has every first name once, and its last names are shifted by one.
    let first = FIRST_NAMES[employee % 10];
    let last = LAST_NAMES[(employee % 10 + employee / 10) % 10];
    SeedRecord {
        id: format!("E{:03}", employee + 1),
        name: format!("{first} {last}"),
        status: status(employee, day).to_owned(),
        date,
    }
}

/// Present in most cases; the employees with another status change from day to day.
fn status(employee: usize, day: usize) -> &'static str {
    match (employee * 37 + day * 61) % 100 {
        0..=3 => "Absent",
        4..=8 => "Leave",
        9..=12 => "Half Day",
        13..=24 => "Remote",
        _ => "Present",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn there_is_a_record_of_each_of_50_employees_on_each_working_day_of_a_month() {
        let records = records(jiff::civil::date(2026, 11, 22));
        assert_eq!(records.len(), 1100);
        assert_eq!((records[0].date.as_str(), records[1099].date.as_str()), ("2026-10-22", "2026-11-20"));
        let keys: BTreeSet<_> = records.iter().map(|record| (&record.id, &record.date)).collect();
        assert_eq!(keys.len(), 1100);
        let names: BTreeMap<_, _> = records.iter().map(|record| (&record.id, &record.name)).collect();
        assert_eq!(names.values().collect::<BTreeSet<_>>().len(), 50);
        let statuses: BTreeSet<_> = records.iter().map(|record| &record.status).collect();
        assert_eq!(statuses.len(), 5);
    }
}
