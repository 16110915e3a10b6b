//! Coherence when no other process uses the keys in Redis: this process counts the generations.
//!
//! Freshness: a read takes the generation before it reads the data, and a value is used only while its generation equals the
//! current one. A change increments the counters of its scopes after its commit and before its acknowledgement. So, of a read that
//! began before the commit and may have seen the old data, the generation is no longer current when the change is acknowledged; whatever
//! such a read stores afterwards, in memory or in Redis, is not used. Redis holds no generations: nothing that happens to it (a lost
//! message, a restart from an old snapshot) can make a value valid, and neither a change nor a hit in memory waits for it.
//!
//! Several scopes: the generation is the sum of their counters. Counters only grow, so that equal sums mean that none of them was
//! incremented between the two times at which it was read. Members share a fixed number of counters; two that meet in one cost
//! each other a miss, never a stale value.
//!
//! A change without a known outcome may be committed later. It is not acknowledged, so nothing is promised; yet its scopes are invalidated
//! at once and then in every interval for as long as a value can live.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::coherence::{Coherence, Fetched};
use super::commands::{Commands, Redis, SetEntry};
use super::generation::Generation;
use super::pending_invalidations::PendingInvalidations;
use super::scope::Scope;

/// Counters of a process: 128 KiB.
const COUNTERS: usize = 16_384;

/// The protocol for a Redis that only this process uses.
#[derive(Debug)]
pub(super) struct Private<R> {
    counters: Box<[AtomicU64]>,
    hasher: RandomState,
    seed: u64,
    /// The changes whose outcome is unknown.
    unconfirmed: PendingInvalidations,
    commands: Arc<Commands<R>>,
}

impl<R: Redis> Private<R> {
    /// `seed` must differ from that of every process that used the keys before; `ttl` is the longest life of a value.
    pub(super) fn new(commands: Arc<Commands<R>>, seed: u64, ttl: Duration) -> Self {
        Self {
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            seed,
            unconfirmed: PendingInvalidations::new(ttl),
            commands,
        }
    }

    /// The generation now. Needs neither Redis nor a lock.
    pub(super) fn current(&self, scopes: &[Scope<'_>]) -> Generation {
        let count =
            scopes.iter().fold(0, |sum: u64, scope| sum.wrapping_add(self.counter(*scope).load(Ordering::SeqCst)));
        Generation::Private { seed: self.seed, count }
    }

    fn increment(&self, scopes: &[Scope<'_>]) {
        for scope in scopes {
            self.counter(*scope).fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter(&self, scope: Scope<'_>) -> &AtomicU64 {
        &self.counters[self.hasher.hash_one(scope) as usize % COUNTERS]
    }
}

impl<R: Redis> Coherence for Private<R> {
    fn is_trusted(&self, _: &[Scope<'_>], _: Instant) -> bool {
        true
    }

    async fn is_current(&self, generation: &Generation, scopes: &[Scope<'_>]) -> bool {
        self.current(scopes) == *generation
    }

    async fn fetch(&self, scopes: &[Scope<'_>], key: &str) -> Option<Fetched> {
        let generation = self.current(scopes);
        let value =
            self.commands.get(&[self.commands.value_key(key)]).await.and_then(|mut values| values.pop()).flatten();
        Some(Fetched { generation, value })
    }

    async fn invalidate(&self, scopes: &[Scope<'_>], _: Instant) {
        self.increment(scopes);
    }

    fn invalidate_later(&self, scopes: &[Scope<'_>], now: Instant) {
        self.increment(scopes);
        self.unconfirmed.record(scopes, now);
    }

    async fn maintain(&self, _: bool, now: Instant) {
        let pending = self.unconfirmed.pending(now);
        if self.unconfirmed.covers_everything(now) {
            for counter in &self.counters {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
        pending.iter().for_each(|(scope, _)| self.increment(&[scope.as_scope()]));
    }

    /// Not used by this protocol; that Redis accepts it shows that the connection works.
    fn rotate_epoch(&self) -> SetEntry {
        self.commands.new_epoch()
    }
}
