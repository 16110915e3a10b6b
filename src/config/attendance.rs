//! `attendance:` — the rules of attendance.

use jiff::civil;

use super::kind::Kind;
use super::section::section;
use super::settings::Settings;
use super::time_zone::TimeZone;
use super::weekdays::Weekdays;

section! {
    /// The rules of attendance.
    "attendance" {
        /// `attendance:` — the rules of attendance.
        pub struct Attendance {
            /// The statuses that a record may be given, like [Present, Absent, Half Day]; any if the list is empty.
            statuses: Vec<String> => Kind::Statuses;
            /// Records of days before this one cannot be created, corrected or deleted, like 2026-01-01.
            locked_before: Option<civil::Date> => Kind::Day;
            /// The days of the week on which nothing is due, like [saturday, sunday], or none. Single days may differ: see
            /// /api/v1/attendance/calendar.
            weekly_off: Weekdays = "saturday, sunday" => Kind::Weekdays;
            /// The time zone that decides which day is today, by its name in the IANA database, like Asia/Kolkata.
            time_zone: TimeZone = "UTC" => Kind::TimeZone;
        }
    }
}

/// Reads the section.
pub(super) fn resolve(settings: &mut Settings) -> Option<Attendance> {
    Attendance::read(settings)
}
