//! The time of day, and which noted moments can be relied on.
//!
//! Policy: a clock may be set back. A moment that was noted shortly before stays later than the clock for a while, and counts as what it is: so
//! nothing is done twice. One that is more than a day later comes from a clock that was wrong, and does not count: otherwise nothing would be due until that
//! day. Builds with debug assertions add the seconds in the file that `ATTENDANCE_CLOCK_OFFSET` names, so that a test can set the clock of this module.

use jiff::{SignedDuration, Timestamp};

/// How much later than the clock a noted moment may be.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// The time of day.
#[cfg(debug_assertions)]
pub fn now() -> Timestamp {
    let offset = std::env::var_os("ATTENDANCE_CLOCK_OFFSET").and_then(|path| std::fs::read_to_string(path).ok());
    let seconds = offset.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    Timestamp::now() + SignedDuration::from_secs(seconds)
}

/// The time of day.
#[cfg(not(debug_assertions))]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Whether a moment that was noted can be one of the past.
pub(super) fn is_credible(noted: Timestamp, now: Timestamp) -> bool {
    noted.duration_since(now) <= MAX_AHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_a_clock_that_was_wrong_by_days_does_not_count() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        for (noted, expected) in [
            ("2025-01-31T12:00:00Z", true),
            ("2026-01-31T13:00:00Z", true),
            ("2026-02-01T12:00:00Z", true),
            ("2026-02-01T12:00:01Z", false),
            ("2036-01-31T12:00:00Z", false),
        ] {
            assert_eq!(is_credible(noted.parse().unwrap(), now), expected, "{noted}");
        }
    }
}
