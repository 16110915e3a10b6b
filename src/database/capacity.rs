//! How many connections of a pool may be in use.
//!
//! Policy: this begins with the configured number. A server or a pooler may allow fewer: then a further connection is refused, or is not made
//! while others work. A request that finds this out waits for one of the others, and the capacity is one less. It grows again by one
//! after a while, which becomes longer with each failure, and at once while further connections are made. It is never less than one.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long after a connection was not to be had another one is tried, at first and at most.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(16);

/// The permits to use a connection.
#[derive(Debug)]
pub(super) struct Capacity {
    permits: Arc<Semaphore>,
    max: usize,
    now: AtomicUsize,
    growth: Mutex<Growth>,
}

/// When the capacity grows next.
#[derive(Debug)]
struct Growth {
    at: Instant,
    backoff: Duration,
}

impl Capacity {
    /// A capacity of `max` connections.
    pub(super) fn new(max: usize) -> Self {
        let permits = Arc::new(Semaphore::new(max));
        let growth = Growth { at: Instant::now(), backoff: MIN_BACKOFF };
        Self { permits, max, now: AtomicUsize::new(max), growth: Mutex::new(growth) }
    }

    /// How many connections may be in use at present.
    pub(super) fn now(&self) -> usize {
        self.now.load(Relaxed)
    }

    /// Waits for a permit, in the order of arrival. Fails when this is closed.
    pub(super) async fn acquire(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.grow(Instant::now());
        Arc::clone(&self.permits).acquire_owned().await
    }

    /// Takes a permit out of use because there is no connection for it. The last one stays: `Err` returns it.
    pub(super) fn shrink(&self, permit: OwnedSemaphorePermit, now: Instant) -> Result<(), OwnedSemaphorePermit> {
        let less = |capacity: usize| (capacity > 1).then(|| capacity - 1);
        let Ok(before) = self.now.fetch_update(Relaxed, Relaxed, less) else { return Err(permit) };
        permit.forget();
        let mut growth = self.growth();
        growth.at = now + growth.backoff;
        tracing::debug!(capacity = before - 1, "PostgreSQL or its pooler allows no further connection");
        Ok(())
    }

    /// Notes that a further connection was made.
    pub(super) fn connection_made(&self, now: Instant) {
        if self.now() < self.max {
            *self.growth() = Growth { at: now, backoff: MIN_BACKOFF };
        }
    }

    /// No permit is given from now on.
    pub(super) fn close(&self) {
        self.permits.close();
    }

    fn growth(&self) -> MutexGuard<'_, Growth> {
        self.growth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow(&self, now: Instant) {
        if self.now() == self.max {
            return;
        }
        let mut growth = self.growth();
        if now < growth.at {
            return;
        }
        growth.backoff = (growth.backoff * 2).min(MAX_BACKOFF);
        growth.at = now + growth.backoff;
        let more = |capacity: usize| (capacity < self.max).then(|| capacity + 1);
        if self.now.fetch_update(Relaxed, Relaxed, more).is_ok() {
            self.permits.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shrink(capacity: &Capacity, now: Instant) -> bool {
        let permit = Arc::clone(&capacity.permits).try_acquire_owned().unwrap();
        capacity.shrink(permit, now).is_ok()
    }

    fn grow(capacity: &Capacity, now: Instant) -> usize {
        capacity.grow(now);
        assert_eq!(capacity.permits.available_permits(), capacity.now());
        capacity.now()
    }

    #[test]
    fn it_shrinks_to_one_and_grows_to_the_configured_number() {
        let (capacity, start) = (Capacity::new(3), Instant::now());
        assert_eq!(grow(&capacity, start), 3);
        assert!(shrink(&capacity, start) && shrink(&capacity, start));
        assert!(!shrink(&capacity, start), "the last permit stays");
        assert_eq!(grow(&capacity, start), 1);
        let later = start + MIN_BACKOFF;
        assert_eq!((grow(&capacity, later), grow(&capacity, later)), (2, 2), "one at a time");
        assert!(shrink(&capacity, later));
        assert_eq!(grow(&capacity, later + MIN_BACKOFF), 1, "later after a failure");
        assert_eq!(grow(&capacity, later + 2 * MIN_BACKOFF), 2);
        capacity.connection_made(later);
        assert_eq!(grow(&capacity, later), 3, "at once after a success");
        capacity.connection_made(later);
        assert_eq!(grow(&capacity, later + MAX_BACKOFF), 3);
    }
}
