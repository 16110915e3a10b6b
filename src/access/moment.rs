//! Moments, as they go to and come from the database: in milliseconds since 1970.
//!
//! Policy: PostgreSQL's clock decides when a credential ends. This process compares with its own clock only what it has had in memory for seconds, and asks
//! PostgreSQL when the end has come by its own clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// The time of this process, which never goes back.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    start_millis: i64,
}

impl Clock {
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_millis: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) }
    }

    /// The milliseconds since 1970 at a moment.
    pub(super) fn millis(&self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.start);
        self.start_millis.saturating_add(millis(since))
    }
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A moment that the database has returned. One beyond what can be written is the latest that can.
pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// An SQL expression: a `timestamptz` in milliseconds since 1970.
pub(super) fn millis_sql(expression: &str) -> String {
    format!("(floor(extract(epoch FROM {expression}) * 1000))::bigint")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_beyond_the_range_are_its_ends() {
        assert_eq!(timestamp(i64::MAX), Timestamp::MAX);
        assert_eq!(timestamp(i64::MIN), Timestamp::MIN);
        assert_eq!(timestamp(1500).as_millisecond(), 1500);
    }

    #[test]
    fn the_clock_goes_on_with_the_process() {
        let (clock, now) = (Clock::new(), Instant::now());
        assert_eq!(clock.millis(now + Duration::from_secs(2)) - clock.millis(now), 2000);
        assert!(clock.millis(now - Duration::from_secs(3600)) <= clock.millis(now));
    }
}
