//! Whether a client reads its answers, and how fast.
//!
//! Policy: only the time during which the socket accepts no bytes counts, because then the server waits for the client; the server's own
//! pauses do not. Two limits apply to it. In one wait, at least one byte must be accepted within `write_timeout`. In all waits together, a quota of bytes must be accepted
//! within [`RATE_INTERVAL`]: what `min_response_rate` makes of that time. A client that has read its quota begins a new interval, so the rate
//! is that of the last interval, and a fast beginning does not pay for a slow end. The kernel keeps at most 64 KiB that it has not sent
//! (`socket.rs`), so the bytes that it accepts are, up to those, the bytes that have left the host.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::overdue::Overdue;
use crate::config;

/// The time over which the rate of a slow client is measured.
const RATE_INTERVAL: Duration = Duration::from_secs(60);
/// The socket accepts bytes.
const NOT_STALLED: u64 = u64::MAX;

/// The progress of one connection's output. Times are nanoseconds since the connection was opened. One task writes, so each part is a plain
/// value in an atomic.
#[derive(Debug)]
pub struct WriteProgress {
    /// Since when the socket has accepted no byte.
    stalled_since: AtomicU64,
    /// How long earlier waits of this interval took.
    waited: AtomicU64,
    /// How many bytes were accepted in this interval.
    accepted: AtomicU64,
}

impl WriteProgress {
    /// A connection to which nothing has been written.
    pub fn new() -> Self {
        Self { stalled_since: AtomicU64::new(NOT_STALLED), waited: AtomicU64::new(0), accepted: AtomicU64::new(0) }
    }

    /// Records that the socket accepted this many bytes. Returns for how long it had accepted none.
    pub fn record_accepted(&self, bytes: usize, now: impl FnOnce() -> u64) -> Duration {
        let (since, waited) = (self.stalled_since.load(Relaxed), self.waited.load(Relaxed));
        // No interval has begun: nearly every connection stays so.
        if since == NOT_STALLED && waited == 0 {
            return Duration::ZERO;
        }
        let mut pause = 0;
        if since != NOT_STALLED {
            // At least one, so that the interval has begun.
            pause = now().saturating_sub(since).max(1);
            self.waited.store(waited + pause, Relaxed);
            self.stalled_since.store(NOT_STALLED, Relaxed);
        }
        self.accepted.store(self.accepted.load(Relaxed).saturating_add(bytes as u64), Relaxed);
        Duration::from_nanos(pause)
    }

    /// Records that the socket accepts no bytes at the moment.
    pub fn record_stall(&self, now: impl FnOnce() -> u64) {
        if self.stalled_since.load(Relaxed) == NOT_STALLED {
            self.stalled_since.store(now(), Relaxed);
        }
    }

    /// When the client is overdue if it reads nothing until then, and which limit it exceeds. `None` while the socket accepts bytes.
    pub fn due(&self, limits: &config::Server) -> Option<(u64, Overdue)> {
        let since = self.stalled_since.load(Relaxed);
        if since == NOT_STALLED {
            return None;
        }
        let write_deadline = (since + nanoseconds(limits.write_timeout), Overdue::Write);
        if limits.min_response_rate == 0 {
            return Some(write_deadline);
        }
        let quota = limits.min_response_rate as u64 * RATE_INTERVAL.as_secs();
        if self.accepted.load(Relaxed) >= quota {
            self.accepted.store(0, Relaxed);
            self.waited.store(0, Relaxed);
        }
        let remaining = nanoseconds(RATE_INTERVAL).saturating_sub(self.waited.load(Relaxed));
        let rate_deadline = (since + remaining, Overdue::Rate);
        Some(if rate_deadline.0 < write_deadline.0 { rate_deadline } else { write_deadline })
    }
}

/// The type has room for five centuries.
fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn default_limits() -> config::Server {
        let environment = config::Environment { is_root: true, ..config::Environment::default() };
        config::load(&config::Flags::default(), &environment).unwrap().config.server
    }

    fn limits() -> config::Server {
        config::Server { write_timeout: Duration::from_secs(30), min_response_rate: 1024, ..default_limits() }
    }

    /// Serves a client that takes `step` bytes each time `pause` seconds have passed, for half an hour. Returns why it was disconnected.
    fn serve(limits: &config::Server, steps: impl Fn(u64) -> (u64, usize)) -> Option<Overdue> {
        let progress = WriteProgress::new();
        let mut now = 0;
        progress.record_accepted(4 << 20, || 0);
        while now < 1800 * SECOND {
            progress.record_stall(|| now);
            let (pause, step) = steps(now / SECOND);
            now += pause * SECOND;
            let (deadline, overdue) = progress.due(limits).unwrap();
            if deadline <= now {
                return Some(overdue);
            }
            progress.record_accepted(step, || now);
        }
        None
    }

    #[test]
    fn a_steady_reader_above_the_rate_is_served_to_the_end() {
        for (pause, step) in [(1, 5000), (10, 50_000), (25, 64_000), (1, 1100), (15, 25_000)] {
            assert_eq!(serve(&limits(), |_| (pause, step)), None, "{step} bytes in {pause} s");
        }
    }

    #[test]
    fn a_reader_below_the_rate_is_disconnected() {
        for (pause, step) in [(1, 500), (10, 10_000), (25, 20_000), (2, 1)] {
            assert_eq!(serve(&limits(), |_| (pause, step)), Some(Overdue::Rate), "{step} bytes in {pause} s");
        }
        let without_rate = config::Server { min_response_rate: 0, ..limits() };
        assert_eq!(serve(&without_rate, |_| (2, 1)), None);
    }

    #[test]
    fn a_fast_beginning_does_not_pay_for_a_slow_end() {
        assert_eq!(serve(&limits(), |second| (1, if second < 600 { 1 << 20 } else { 500 })), Some(Overdue::Rate));
    }

    #[test]
    fn a_reader_that_stops_is_disconnected_whatever_it_has_read() {
        assert_eq!(serve(&limits(), |second| if second < 600 { (1, 1 << 20) } else { (40, 0) }), Some(Overdue::Write));
        assert_eq!(serve(&limits(), |_| (40, 1 << 20)), Some(Overdue::Write));
    }

    #[test]
    fn the_pauses_of_the_server_do_not_count() {
        let (progress, limits) = (WriteProgress::new(), limits());
        for minute in 0..30 {
            let now = minute * 60 * SECOND;
            progress.record_stall(|| now);
            assert!(progress.due(&limits).unwrap().0 > now + SECOND);
            progress.record_accepted(2048, || now + SECOND);
            assert_eq!(progress.due(&limits), None);
        }
    }

    #[test]
    fn a_further_write_without_progress_does_not_extend_the_deadline() {
        let (progress, limits) = (WriteProgress::new(), limits());
        progress.record_stall(|| 5);
        let due = progress.due(&limits);
        progress.record_stall(|| 10);
        assert_eq!(progress.due(&limits), due);
    }
}
