//! Limits how many lines of a child's output are logged.
//!
//! Policy: a token bucket for each supervised child, which restarts do not refill: 200 lines at once, then 20 per second. So a child
//! that repeats itself, or that an attacker makes talk, neither fills the disk nor hides the lines of others. What is left out is counted,
//! and one line reports the count: 5 seconds after the first line left out, and when the process ends. Time is passed in by the caller.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The lines that are logged without a pause, after a quiet time.
const MAX_BURST: u32 = 200;
/// The time in which one more line is permitted: 20 per second.
const REFILL_INTERVAL: Duration = Duration::from_millis(50);
/// How long lines are left out before their number is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The limit of one child.
#[derive(Debug)]
pub(super) struct OutputLimit(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    /// Lines that may be logged now.
    tokens: u32,
    /// The time up to which tokens were added.
    refilled: Instant,
    /// Lines left out since the last report.
    dropped: u64,
    /// When the first of them was.
    dropping_since: Option<Instant>,
}

impl OutputLimit {
    /// A limit that permits a burst.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Bucket { tokens: MAX_BURST, refilled: now, dropped: 0, dropping_since: None }))
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a line may be logged at `now`; otherwise it is counted.
    pub(super) fn admit(&self, now: Instant) -> bool {
        let mut bucket = self.bucket();
        bucket.refill(now);
        if bucket.tokens > 0 {
            bucket.tokens -= 1;
            return true;
        }
        bucket.dropped += 1;
        bucket.dropping_since.get_or_insert(now);
        false
    }

    /// The number of lines left out, if it is time to report it; each line is reported once.
    pub(super) fn due_report(&self, now: Instant) -> Option<u64> {
        let mut bucket = self.bucket();
        let since = bucket.dropping_since?;
        if now.saturating_duration_since(since) >= REPORT_INTERVAL { bucket.take_dropped() } else { None }
    }

    /// The number of lines left out and not reported yet, if there are any.
    pub(super) fn final_report(&self) -> Option<u64> {
        self.bucket().take_dropped()
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.refilled);
        let intervals = u32::try_from(elapsed.as_millis() / REFILL_INTERVAL.as_millis()).unwrap_or(u32::MAX);
        if intervals >= MAX_BURST - self.tokens {
            self.tokens = MAX_BURST;
            self.refilled = self.refilled.max(now);
        } else {
            self.tokens += intervals;
            // The rest of the interval counts for the next token.
            self.refilled += REFILL_INTERVAL * intervals;
        }
    }

    fn take_dropped(&mut self) -> Option<u64> {
        self.dropping_since = None;
        Some(std::mem::take(&mut self.dropped)).filter(|&dropped| dropped > 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_then_twenty_lines_a_second_and_the_rest_is_counted() {
        let start = Instant::now();
        let limit = OutputLimit::new(start);
        let admitted = |at: Instant, lines: usize| (0..lines).filter(|_| limit.admit(at)).count();
        assert_eq!(admitted(start, 1000), 200);
        assert_eq!(limit.due_report(start), None, "not before the interval has passed");
        assert_eq!(admitted(start + Duration::from_secs(1), 100), 20);
        assert_eq!(limit.due_report(start + REPORT_INTERVAL), Some(880));
        assert_eq!(limit.due_report(start + 3 * REPORT_INTERVAL), None, "each line is reported once");
        assert_eq!(admitted(start + Duration::from_secs(3600), 1000), 200, "a quiet hour permits one burst, no more");
        assert_eq!(limit.final_report(), Some(800));
        assert_eq!(limit.final_report(), None);
    }

    proptest! {
        /// Lines at any times, in milliseconds after the one before.
        #[test]
        fn no_period_has_more_lines_than_the_limit_and_every_line_is_logged_or_reported(pauses in vec(0_u64..400, 1..1500)) {
            let start = Instant::now();
            let limit = OutputLimit::new(start);
            let mut now = start;
            let (mut admitted, mut reported) = (Vec::new(), 0);
            for pause in &pauses {
                // Most lines come at once, as in a flood.
                now += Duration::from_millis(if *pause < 300 { 0 } else { *pause });
                if limit.admit(now) {
                    admitted.push(now);
                }
                reported += limit.due_report(now).unwrap_or(0);
            }
            reported += limit.final_report().unwrap_or(0);
            prop_assert_eq!(admitted.len() as u64 + reported, pauses.len() as u64);
            for (index, first) in admitted.iter().enumerate() {
                for (further, last) in admitted[index..].iter().enumerate() {
                    let period = u64::try_from(last.duration_since(*first).as_millis()).unwrap();
                    prop_assert!(further as u64 <= 200 + period / 50);
                }
            }
        }
    }
}
