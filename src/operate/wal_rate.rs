//! How much WAL is written.

use std::time::{Duration, Instant};

use super::wal_segment::Lsn;

/// The time over which the rate is measured.
const INTERVAL: Duration = Duration::from_secs(20);

/// How much WAL is written, as measured over the last interval.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WalRate {
    /// How far the WAL was when the current interval began, and when that was.
    begin: Option<(Lsn, Instant)>,
    pub(super) bytes_per_second: u64,
}

impl WalRate {
    /// Notes how far the WAL is now.
    pub(super) fn measure(&mut self, flushed: Lsn, now: Instant) {
        let (position, since) = *self.begin.get_or_insert((flushed, now));
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= INTERVAL {
            self.bytes_per_second = flushed.0.saturating_sub(position.0) / elapsed.as_secs();
            self.begin = Some((flushed, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_interval() {
        let (mut rate, mut now) = (WalRate::default(), Instant::now());
        let mut measure = |seconds: u64, flushed: u64| {
            now += Duration::from_secs(seconds);
            rate.measure(Lsn(flushed), now);
            rate.bytes_per_second
        };
        assert_eq!(measure(5, 1000), 0);
        assert_eq!(measure(19, 50_000), 0);
        assert_eq!(measure(1, 41_000), 2000);
        assert_eq!(measure(40, 41_000), 0);
        assert_eq!(measure(20, 1000), 0, "the WAL of another server");
    }
}
