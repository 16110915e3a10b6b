//! Coherence when no other process uses the keys in Redis, or when there is no Redis: this process counts the generations.
//!
//! Freshness: a read takes the generation before it reads the data, and a value is used only while its generation equals the
//! current one. A change increments the counters of its scopes after its commit and before its acknowledgement. So, of a read that
//! began before the commit and may have seen the old data, the generation is no longer current when the change is acknowledged; whatever
//! such a read stores afterwards, in memory or in Redis, is not used. Redis holds no generations: nothing that happens to it (a lost
//! message, a restart from an old snapshot) can make a value valid, and neither a change nor a hit in memory waits for it.
//!
//! Several scopes: the generation is the sum of their counters and of one that belongs to every generation. Counters only grow, so equal sums mean that none of
//! them was incremented between the two readings. Members share a fixed number of counters; two that meet in one cost
//! each other a miss, never a stale value.
//!
//! Without Redis, values are in memory only. Nothing else differs: a read that finds no connection is a miss that may fill memory.
//!
//! Changes by other processes are announced to this one, in the order of their commits and after them, on a connection that may fail
//! (`database/notifications.rs`). An announcement increments the counters of its scopes, so that from then on no value is used whose read began before it.
//! A connection that begins to listen increments the counter of everything, because announcements may have been missed. Values are used only until a fixed
//! time after the beginning of the latest proof, a round trip on that connection, whose answer comes after every announcement of what was committed
//! before it began (`trust_until`). So let a change be committed, and let a read that begins more than this time later use a value. Then a proof began after the
//! commit. Either the change was announced on the connection of the proof before its answer, or that connection began to listen after the
//! commit, and also did so before the answer. Both increment counters of the value, so its read began after the commit. A connection that is cut
//! or stalls, a process that is not scheduled, and a server that answers late all have the same effect: no proof, and after the fixed time no
//! value is used. `tests/announced_interleavings.rs` tests this under every order of events.
//!
//! A change without a known outcome may be committed later. It is not acknowledged, so nothing is promised; yet its scopes are invalidated
//! at once and then in every interval for as long as a value can live.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;

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
    /// Counts what ended every generation.
    everything: AtomicU64,
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
            everything: AtomicU64::new(0),
            hasher: RandomState::default(),
            seed,
            unconfirmed: PendingInvalidations::new(ttl),
            commands,
        }
    }

    /// The generation now. Needs neither Redis nor a lock.
    pub(super) fn current(&self, scopes: &[Scope<'_>]) -> Generation {
        let everything = self.everything.load(Ordering::SeqCst);
        let add = |sum: u64, scope: &Scope<'_>| sum.wrapping_add(self.counter(*scope).load(Ordering::SeqCst));
        let count = scopes.iter().fold(everything, add);
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

    fn is_settled(&self, _: &[Scope<'_>], _: Instant, _: Instant) -> bool {
        true
    }

    fn invalidate_everything(&self) {
        self.everything.fetch_add(1, Ordering::SeqCst);
    }

    fn invalidate_announced(&self, scopes: &[Scope<'_>], _: Instant) {
        self.increment(scopes);
    }

    fn invalidate_later(&self, scopes: &[Scope<'_>], now: Instant) {
        self.increment(scopes);
        self.unconfirmed.record(scopes, now);
    }

    async fn maintain(&self, _: bool, clock: impl Fn() -> Instant + Send) {
        let now = clock();
        let pending = self.unconfirmed.pending(now);
        if self.unconfirmed.covers_everything(now) {
            self.invalidate_everything();
        }
        pending.iter().for_each(|(scope, _)| self.increment(&[scope.as_scope()]));
    }

    /// Not used by this protocol; that Redis accepts it shows that the connection works.
    fn rotate_epoch(&self) -> SetEntry {
        self.commands.new_epoch()
    }

    fn connected(&self, _: Instant) {}

    fn disconnected(&self, _: bool, _: Instant, _: Instant) {}
}

#[cfg(test)]
mod tests {
    use super::super::tests::fakes::{self, Server};
    use super::*;

    const TTL: Duration = Duration::from_secs(20);
    const ONE: Scope<'_> = Scope::member("e", "1");
    const ALL: Scope<'_> = Scope::whole("a");

    fn private() -> Private<fakes::FakeRedis> {
        Private::new(fakes::commands(&Server::shared(1), 0), 7, TTL)
    }

    #[test]
    fn a_change_ends_the_generation_of_every_value_that_depends_on_its_scopes() {
        let private = private();
        let before =
            [&[ONE][..], &[ALL], &[ONE, ALL], &[Scope::member("e", "2")]].map(|scopes| private.current(scopes));
        fakes::run(private.invalidate(&[ONE, ALL], Instant::now()));
        let is_current = |at: usize, scopes: &[Scope<'_>]| fakes::run(private.is_current(&before[at], scopes));
        assert!(!is_current(0, &[ONE]) && !is_current(1, &[ALL]) && !is_current(2, &[ONE, ALL]));
        assert!(is_current(3, &[Scope::member("e", "2")]));
    }

    #[test]
    fn a_change_by_another_program_ends_every_generation() {
        let private = private();
        let before = [&[ONE][..], &[ALL], &[ONE, ALL]].map(|scopes| private.current(scopes));
        private.invalidate_everything();
        let after = [&[ONE][..], &[ALL], &[ONE, ALL]].map(|scopes| private.current(scopes));
        assert!(before.iter().zip(&after).all(|(before, after)| before != after));
    }

    #[test]
    fn an_announced_change_ends_the_generations_of_its_scopes_once() {
        let (private, now) = (private(), Instant::now());
        let before = [private.current(&[ONE]), private.current(&[ALL])];
        private.invalidate_announced(&[ONE], now);
        let after = [private.current(&[ONE]), private.current(&[ALL])];
        assert!(after[0] != before[0] && after[1] == before[1]);
        // It is committed: nothing is repeated.
        fakes::run(private.maintain(true, || now));
        assert_eq!(private.current(&[ONE]), after[0]);
    }

    #[test]
    fn a_read_that_began_before_a_change_fills_the_cache_under_an_ended_generation() {
        let private = private();
        let fetched = fakes::run(private.fetch(&[ONE], "k")).unwrap();
        fakes::run(private.invalidate(&[ONE], Instant::now()));
        assert!(!fakes::run(private.is_current(&fetched.generation, &[ONE])));
    }

    #[test]
    fn a_change_of_unknown_outcome_is_invalidated_for_as_long_as_a_value_can_live() {
        let (private, now) = (private(), Instant::now());
        let before = private.current(&[ONE]);
        private.invalidate_later(&[ONE], now);
        let at_once = private.current(&[ONE]);
        assert_ne!(at_once, before);
        fakes::run(private.maintain(true, || now + TTL - Duration::from_millis(1)));
        let later = private.current(&[ONE]);
        assert_ne!(later, at_once);
        fakes::run(private.maintain(true, || now + TTL));
        assert_eq!(private.current(&[ONE]), later);
    }

    #[test]
    fn without_redis_every_read_is_a_miss_that_may_fill_memory() {
        let private = private();
        let fetched = fakes::run(private.fetch(&[ONE], "k")).unwrap();
        assert_eq!((fetched.generation, fetched.value), (private.current(&[ONE]), None));
    }
}
