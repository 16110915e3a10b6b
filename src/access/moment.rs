//! Moments, as they go to and come from the database: in milliseconds since 1970.
//!
//! Policy: PostgreSQL's clock decides when a credential ends. This process compares with its own clock only what it has had in memory for seconds, and asks
//! PostgreSQL when the end has come by its own clock. That clock follows the system's, which may be set while the process runs: a step forward at once, so that
//! a session does not live on in memory; a step back only when everything that was in memory before it has gone, so that it extends nothing.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// The system's clock is read this often at most, in milliseconds.
const READ_INTERVAL: i64 = 1000;
/// A step back is followed after this time, in milliseconds: more than the life of a credential in memory and of an answer of Redis on its way.
const HOLD: i64 = 60_000;
/// How late a reading may be, in milliseconds: the thread may have been interrupted.
const TOLERANCE: i64 = 250;
/// [`Clock::behind_since`] if the system's clock is not behind.
const NEVER: i64 = i64::MAX;

/// The time of this process.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// The milliseconds since 1970 at `start`, by the system's clock as it is followed.
    offset: AtomicI64,
    /// When the system's clock is read next, in milliseconds since `start`.
    next_reading: AtomicI64,
    /// Since when the system's clock has been behind this one, in milliseconds since `start`.
    behind_since: AtomicI64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self::started(Instant::now(), system_millis())
    }

    /// A clock that started at a moment at which the system's clock showed `millis`.
    fn started(start: Instant, millis: i64) -> Self {
        let (next_reading, behind_since) = (AtomicI64::new(READ_INTERVAL), AtomicI64::new(NEVER));
        Self { start, offset: AtomicI64::new(millis), next_reading, behind_since }
    }

    /// The milliseconds since 1970 at a moment.
    pub(super) fn millis(&self, now: Instant) -> i64 {
        // The system's clock first: a reading that is late by the other clock never moves this one forward.
        self.millis_by(now, || {
            let system = system_millis();
            (system, Instant::now())
        })
    }

    /// As [`Clock::millis`], with a reading of the system's clock and the moment of that.
    fn millis_by(&self, now: Instant, reading: impl FnOnce() -> (i64, Instant)) -> i64 {
        let since = self.since_start(now);
        let due = self.next_reading.load(Ordering::Relaxed);
        // One of the threads that find it due reads.
        let reads = since >= due
            && self
                .next_reading
                .compare_exchange(due, since + READ_INTERVAL, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if reads {
            let (system, moment) = reading();
            self.follow(self.since_start(moment), system);
        }
        self.offset.load(Ordering::Relaxed).saturating_add(since)
    }

    fn since_start(&self, moment: Instant) -> i64 {
        millis(moment.saturating_duration_since(self.start))
    }

    /// Follows the system's clock, which showed `system` at a moment.
    fn follow(&self, since: i64, system: i64) {
        let read = system.saturating_sub(since);
        let offset = self.offset.load(Ordering::Relaxed);
        let behind_since = self.behind_since.load(Ordering::Relaxed);
        let is_behind = read < offset.saturating_sub(TOLERANCE);
        if is_behind && behind_since == NEVER {
            self.behind_since.store(since, Ordering::Relaxed);
        } else if !is_behind {
            self.behind_since.store(NEVER, Ordering::Relaxed);
            self.offset.fetch_max(read, Ordering::Relaxed);
        } else if since.saturating_sub(behind_since) >= HOLD {
            self.behind_since.store(NEVER, Ordering::Relaxed);
            self.offset.store(read, Ordering::Relaxed);
        }
    }
}

/// What the system's clock shows, in milliseconds since 1970.
fn system_millis() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
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

    /// A clock beside a system's clock that a test sets. Time goes on by [`TestClock::wait`].
    struct TestClock {
        clock: Clock,
        start: Instant,
        /// Milliseconds since the start, and what the system's clock shows then.
        elapsed: i64,
        system: i64,
    }

    impl TestClock {
        fn new() -> Self {
            let start = Instant::now();
            Self { clock: Clock::started(start, 1_000_000), start, elapsed: 0, system: 1_000_000 }
        }

        fn wait(&mut self, millis: i64) {
            self.elapsed += millis;
            self.system += millis;
        }

        /// What the clock shows beyond what it would show if the system's clock had not been set.
        fn ahead(&self) -> i64 {
            let now = self.start + Duration::from_millis(self.elapsed.unsigned_abs());
            self.clock.millis_by(now, || (self.system, now)) - 1_000_000 - self.elapsed
        }
    }

    #[test]
    fn the_clock_goes_on_with_the_process() {
        let (clock, now) = (Clock::new(), Instant::now());
        assert_eq!(clock.millis(now + Duration::from_millis(900)) - clock.millis(now), 900);
        assert!(clock.millis(now - Duration::from_secs(3600)) <= clock.millis(now));
    }

    #[test]
    fn a_step_forward_of_the_system_clock_is_followed_within_a_second() {
        let mut test = TestClock::new();
        for step in [3_600_000, 86_400_000, 1500] {
            let before = test.ahead();
            test.system += step;
            test.wait(READ_INTERVAL);
            assert_eq!(test.ahead(), before + step);
        }
        test.wait(10 * HOLD);
        assert_eq!(test.ahead(), 3_600_000 + 86_400_000 + 1500);
    }

    #[test]
    fn a_step_back_extends_nothing_that_was_in_memory_before_it() {
        let mut test = TestClock::new();
        test.system -= 3_600_000;
        for _ in 0..HOLD / 100 {
            assert_eq!(test.ahead(), 0, "after {} ms", test.elapsed);
            test.wait(100);
        }
        // What is in memory now was judged by the database after the step.
        test.wait(2 * READ_INTERVAL);
        assert_eq!(test.ahead(), -3_600_000);
        test.system += 3_600_000;
        test.wait(READ_INTERVAL);
        assert_eq!(test.ahead(), 0, "and forward again");
    }

    #[test]
    fn a_clock_that_is_set_back_and_forth_is_not_followed_back() {
        let mut test = TestClock::new();
        let mut last = 0;
        for round in 0..50 {
            let step = if round % 2 == 0 { -60_000 } else { 60_000 };
            test.system += step;
            test.wait(HOLD / 2);
            let shown = test.ahead() + test.elapsed;
            assert!(shown >= last, "round {round}");
            last = shown;
        }
        assert_eq!(test.ahead(), 0);
    }

    #[test]
    fn a_late_reading_does_not_move_the_clock() {
        let mut test = TestClock::new();
        for late in [0, 3, 200, 90_000] {
            test.wait(READ_INTERVAL);
            let now = test.start + Duration::from_millis(test.elapsed.unsigned_abs());
            test.clock.millis_by(now, || (test.system, now + Duration::from_millis(late)));
            test.wait(READ_INTERVAL);
            assert_eq!(test.ahead(), 0, "{late} ms");
        }
    }
}
