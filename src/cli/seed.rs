//! Sample records for the demonstration: three months of a company of 50 people. Apart from the dates, they are the same on every day.
//!
//! Policy: the ids are `1` to `50`, so that every example of the pages and of the API's description finds a record.

use jiff::civil::{Date, Weekday};

use crate::appliance::SeedRecord;

/// The number of employees, whose ids are 1 to this.
pub const EMPLOYEES: u32 = 50;
/// The working days of three months.
const DAYS: usize = 65;

const FIRST_NAMES: [&str; 10] = ["Asha", "Bruno", "Chen", "Dalia", "Emeka", "Freya", "Goran", "Hana", "Imran", "Jonas"];
const LAST_NAMES: [&str; 10] =
    ["Almeida", "Bauer", "Costa", "Dubey", "Eriksen", "Fischer", "Gupta", "Haddad", "Ito", "Jansen"];

/// The records of each employee on the last 65 working days up to today, the oldest day first. Today's are not complete: every fifth
/// employee has not been recorded yet.
pub fn records(today: Date) -> Vec<SeedRecord> {
    let mut days = working_days(today);
    days.reverse();
    let last = days.len() - 1;
    let of_day = |(day, date): (usize, &Date)| {
        let (number, date) = (day, *date);
        (1..=EMPLOYEES)
            .filter(move |employee| number < last || employee % 5 != 0)
            .map(move |employee| record(employee, number, date))
            .collect::<Vec<_>>()
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

fn record(employee: u32, day: usize, date: Date) -> SeedRecord {
    // Each group of ten employees has every first name once, and its last names are shifted by one.
    let position = employee as usize - 1;
    let first = FIRST_NAMES[position % 10];
    let last = LAST_NAMES[(position % 10 + position / 10) % 10];
    SeedRecord {
        id: employee.to_string(),
        name: format!("{first} {last}"),
        status: status(employee, day, date.weekday()).to_owned(),
        date: date.to_string(),
    }
}

/// Present in most cases. Leave lasts for days, one day at home is the same in each week, half days are Fridays, and sickness and late arrivals
/// have no pattern.
fn status(employee: u32, day: usize, weekday: Weekday) -> &'static str {
    let begin_of_leave = scatter(employee, 0) % DAYS;
    let days_of_leave = 3 + scatter(employee, 1) % 8;
    let day_at_home = [Weekday::Monday, Weekday::Wednesday, Weekday::Thursday][scatter(employee, 2) % 3];
    let chance = scatter(employee, day + 3) % 100;
    match chance {
        _ if (begin_of_leave..begin_of_leave + days_of_leave).contains(&day) => "On Leave",
        0..=2 => "Absent",
        3..=7 => "Late",
        8..=40 if weekday == Weekday::Friday && employee.is_multiple_of(3) => "Half Day",
        _ if weekday == day_at_home && !employee.is_multiple_of(4) => "Work From Home",
        _ => "Present",
    }
}

/// A number that looks random and depends on the arguments only (the finaliser of SplitMix64).
fn scatter(employee: u32, purpose: usize) -> usize {
    let mut bits = (u64::from(employee) << 32 | purpose as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ bits >> 31) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn there_is_a_record_of_each_employee_on_each_working_day_of_three_months_except_some_of_today() {
        let records = records(jiff::civil::date(2026, 11, 20));
        assert_eq!(records.len(), 64 * 50 + 40);
        assert_eq!((records[0].date.as_str(), records[3239].date.as_str()), ("2026-08-24", "2026-11-20"));
        let keys: BTreeSet<_> = records.iter().map(|record| (&record.id, &record.date)).collect();
        assert_eq!(keys.len(), records.len());
        let names: BTreeMap<_, _> = records.iter().map(|record| (&record.id, &record.name)).collect();
        assert_eq!(names.values().collect::<BTreeSet<_>>().len(), 50);
    }

    #[test]
    fn the_pattern_is_that_of_a_company() {
        let records = records(jiff::civil::date(2026, 11, 20));
        let mut counts = BTreeMap::new();
        for record in &records {
            *counts.entry(record.status.as_str()).or_insert(0) += 1;
        }
        let share = |status: &str| 100 * counts[status] / records.len();
        assert_eq!(counts.len(), 6, "{counts:?}");
        assert!((55..90).contains(&share("Present")), "{counts:?}");
        assert!(share("On Leave") < 15 && share("Absent") < 6 && share("Half Day") < 6, "{counts:?}");
        assert!(
            records.iter().any(|record| record.id == "1" && record.status == "On Leave"),
            "every employee takes leave"
        );
    }
}
