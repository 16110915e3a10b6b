//! The time of this process as a number that other processes understand.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The milliseconds since 1970, which never go back within a process.
#[derive(Debug)]
pub(super) struct WallClock {
    start: Instant,
    start_millis: u64,
}

impl WallClock {
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_millis: u64::try_from(since.as_millis()).unwrap_or_default() }
    }

    pub(super) fn millis(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.start);
        self.start_millis.saturating_add(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time from a moment of another process's clock to `instant`; `None` if that clock is ahead of this one.
    pub(super) fn age(&self, millis: u64, instant: Instant) -> Option<Duration> {
        self.millis(instant).checked_sub(millis).map(Duration::from_millis)
    }

    /// Whether a moment of another process's clock is no further away from `instant` than `distance`, in either direction.
    pub(super) fn is_within(&self, millis: u64, instant: Instant, distance: Duration) -> bool {
        Duration::from_millis(self.millis(instant).abs_diff(millis)) <= distance
    }
}
