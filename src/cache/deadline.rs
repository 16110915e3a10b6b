//! A moment that threads extend and read without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Until when something holds. Reading it costs one load.
#[derive(Debug)]
pub(super) struct Deadline {
    base: Instant,
    /// Nanoseconds after `base`; 0 if it never held.
    nanos: AtomicU64,
}

impl Deadline {
    /// One that has passed.
    pub(super) fn passed() -> Self {
        // A second ago, so that the first moment that can be set is not 0.
        Self {
            base: Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now),
            nanos: AtomicU64::new(0),
        }
    }

    /// One that never passes.
    pub(super) fn never() -> Self {
        Self { base: Instant::now(), nanos: AtomicU64::new(u64::MAX) }
    }

    /// Whether it is still to come.
    pub(super) fn is_after(&self, now: Instant) -> bool {
        self.nanos.load(Ordering::SeqCst) > self.nanos(now)
    }

    /// Moves it to a later moment; an earlier one changes nothing.
    pub(super) fn extend(&self, until: Instant) {
        self.nanos.fetch_max(self.nanos(until), Ordering::SeqCst);
    }

    fn nanos(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.base).as_nanos()).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_only_moves_forward() {
        let (deadline, now) = (Deadline::passed(), Instant::now());
        assert!(!deadline.is_after(now));
        deadline.extend(now + Duration::from_secs(2));
        deadline.extend(now + Duration::from_secs(1));
        assert!(deadline.is_after(now + Duration::from_millis(1_999)));
        assert!(!deadline.is_after(now + Duration::from_secs(2)));
        assert!(Deadline::never().is_after(now + Duration::from_secs(1 << 30)));
    }
}
