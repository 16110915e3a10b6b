//! Coherence when other processes use the keys in Redis: the generations are in Redis.
//!
//! Freshness: a generation consists of the tokens of its scopes, one key in Redis each, and of the epoch's token. Tokens are unique: none
//! is ever written twice. A read asks Redis for the generation after it began and before it reads the data; a value is used only if
//! it was stored under exactly that generation. A change replaces the tokens of its scopes after its commit and before its
//! acknowledgement. So, whichever process acknowledges a change, a read that begins later gets a generation that no earlier read can have got,
//! and values stored under earlier ones, before or after the change, are not used.
//!
//! What can go wrong:
//!
//! - Redis does not confirm the new tokens: it is gone, or refuses writes. This process keeps their scopes (`pending_invalidations.rs`) and
//!   does not use cached values of them until Redis has confirmed tokens that were sent after the commit, or until every value that was
//!   stored before the change has expired. Other processes notice by themselves: each writes to Redis in intervals, and trusts what it
//!   reads there only within [`LEASE`] after it sent a write that was confirmed. A change that Redis has not confirmed is acknowledged when
//!   [`LEASE`] has passed since the first failure, and an attempt that began after the commit has failed as well. So no process can have had a write
//!   confirmed within [`LEASE`] before the acknowledgement: none trusts Redis then. A process whose lease has ended replaces the epoch's token
//!   before it trusts Redis again, which is after the commit, so that the end of the failure brings nothing back.
//! - Redis fails for this process and not for others (a broken network between the two, a user of its own). The others do not receive its
//!   changes: they are behind until this process reaches Redis again, or until every value that was stored before the change has expired.
//! - The server becomes a replica, and the address leads to another primary. What this process writes to the new primary, another one may not
//!   see yet, but its lease ends, because the former primary refuses its writes. Changes wait for that, as above.
//! - A token is evicted or expires. The next read makes a new one before it reads the data, and nothing is stored under that one yet. A
//!   token lives longer than the values stored under it.
//! - Redis has no memory for a new token. The old one is deleted, which needs none.
//! - Redis restarts from an older snapshot, or is replaced by a replica that lags behind. That would bring back tokens which a change had
//!   replaced, and values stored under them. It also ends every connection, and each new connection first replaces the epoch's token.
//! - A SET that was given up is executed late. It can only replace one token by another unique one.
//!
//! A change by another program replaces the epoch's token. From the moment this process is notified of it until Redis has confirmed that, this process
//! uses no cached value. Every process is notified and does so.
//!
//! A change without a known outcome is recorded like one that Redis has not confirmed, and its tokens are replaced in the background.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::coherence::{Coherence, Fetched};
use super::commands::{Commands, Redis, SetEntry};
use super::deadline::Deadline;
use super::error::CommandError;
use super::generation::Generation;
use super::generation_fetcher::{FetchRound, GenerationFetcher};
use super::pending_invalidations::{Mark, PendingInvalidations};
use super::scope::{OwnedScope, Scope};

/// A change waits this long for Redis to confirm its new tokens; a read has its own, shorter time.
pub(super) const INVALIDATION_TIMEOUT: Duration = Duration::from_millis(500);
/// Redis is trusted for this time after the last write that it has confirmed was sent. Several times the interval of `background.rs`.
pub(super) const LEASE: Duration = Duration::from_secs(1);
/// An attempt to reach Redis that has no result after this time counts as failed for the change that waits for it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(300);
/// A token outlives the values stored under it by this factor.
const TOKEN_TTL_FACTOR: u32 = 3;
/// Scopes whose tokens are replaced in one round trip.
const MAX_PUBLISHED_SCOPES: usize = 500;

/// The protocol for a Redis that several processes share.
#[derive(Debug)]
pub(super) struct Shared<R> {
    commands: Arc<Commands<R>>,
    fetcher: GenerationFetcher,
    pending: PendingInvalidations,
    token_ttl: Duration,
    /// Until when Redis is trusted.
    lease: Deadline,
    outage: Mutex<Outage>,
    rotations: Rotations,
}

/// Replacements of the epoch's token because of changes by other programs, counted from 1.
#[derive(Debug, Default)]
struct Rotations {
    requested: AtomicU64,
    confirmed: AtomicU64,
    arrived: Notify,
}

impl Rotations {
    fn request(&self) {
        self.requested.fetch_add(1, Ordering::SeqCst);
        self.arrived.notify_one();
    }

    /// The latest one that was requested; a token that is made afterwards confirms it.
    fn requested(&self) -> u64 {
        self.requested.load(Ordering::SeqCst)
    }

    fn confirm(&self, number: u64) {
        self.confirmed.fetch_max(number, Ordering::SeqCst);
    }

    fn is_pending(&self) -> bool {
        self.confirmed.load(Ordering::SeqCst) < self.requested()
    }
}

/// What is known of the last time at which Redis failed.
#[derive(Debug, Default)]
struct Outage {
    /// Whether it still fails.
    is_present: bool,
    /// Whether the server had become a replica.
    is_role_change: bool,
    /// When the lease of every process that it concerned as well has ended.
    leases_end_at: Option<Instant>,
    /// The beginning of the latest attempt that failed.
    attempted_at: Option<Instant>,
}

impl<R: Redis> Shared<R> {
    /// `ttl` is the life of a stored value, and `fill_timeout` the longest time between the read of a generation and the moment
    /// Redis stores a value under it.
    pub(super) fn new(commands: Arc<Commands<R>>, ttl: Duration, fill_timeout: Duration) -> Self {
        let pending = PendingInvalidations::new(ttl + fill_timeout);
        Self {
            commands,
            fetcher: GenerationFetcher::default(),
            pending,
            token_ttl: ttl * TOKEN_TTL_FACTOR,
            lease: Deadline::passed(),
            outage: Mutex::default(),
            rotations: Rotations::default(),
        }
    }

    /// Replaces the epoch's token each time that another program has changed data. What fails here is completed by `maintain`.
    pub(super) async fn rotate_epochs(&self) {
        self.rotations.arrived.notified().await;
        let number = self.rotations.requested();
        if self.rotations.is_pending() && self.commands.set(&[self.commands.new_epoch()], INVALIDATION_TIMEOUT).await {
            self.rotations.confirm(number);
        }
    }

    /// Whether the invalidation of one of the scopes is pending.
    pub(super) fn is_pending(&self, scopes: &[Scope<'_>], now: Instant) -> bool {
        self.pending.covers(scopes, now)
    }

    /// Writes to Redis, so that it is trusted for longer. The first write after the lease has ended replaces the epoch's token.
    async fn extend_lease(&self, clock: impl Fn() -> Instant) {
        let sent_at = clock();
        let number = self.rotations.requested();
        let is_continuous = self.lease.is_after(sent_at) && !self.rotations.is_pending();
        let entry = if is_continuous { self.commands.probe() } else { self.commands.new_epoch() };
        let is_confirmed = self.commands.set(&[entry], INVALIDATION_TIMEOUT).await;
        if !is_confirmed {
            self.note_failure(clock());
        } else if !is_continuous || self.lease.is_after(clock()) {
            self.lease.extend(sent_at + LEASE);
            self.outage().is_present = false;
            if !is_continuous {
                self.rotations.confirm(number);
            }
        }
    }

    fn note_failure(&self, now: Instant) {
        let mut outage = self.outage();
        if !outage.is_present {
            let leases_end_at = Some(now + LEASE);
            *outage = Outage { is_present: true, is_role_change: false, leases_end_at, attempted_at: None };
        }
    }

    fn note_failed_attempt(&self, began_at: Instant, now: Instant) {
        self.note_failure(now);
        let mut outage = self.outage();
        outage.attempted_at = outage.attempted_at.max(Some(began_at));
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reads that wait for a generation, once there are any.
    pub(super) async fn next_round(&self) -> FetchRound {
        self.fetcher.next_round().await
    }

    /// Asks Redis for the generations that the reads of a round wait for.
    pub(super) async fn complete_round(&self, round: FetchRound) {
        let epoch_key = self.commands.epoch_key();
        let keys: Vec<&str> = [epoch_key.as_str()].into_iter().chain(round.keys()).collect();
        let mut values = self.commands.mget(&keys).await.unwrap_or_default().into_iter().map(text);
        let epoch = values.next().flatten();
        round.complete(epoch.as_deref(), values);
    }

    fn generation_keys(&self, scopes: &[Scope<'_>]) -> Vec<String> {
        scopes.iter().map(|scope| scope.generation_key(&self.commands.prefix)).collect()
    }

    /// Gives the epoch and the scopes the tokens that they lack. Whether Redis has confirmed them.
    async fn create_missing(&self, epoch: &mut Option<String>, keys: &[String], tokens: &mut [Option<String>]) -> bool {
        let mut entries = Vec::new();
        if epoch.is_none() {
            let entry = self.commands.new_epoch();
            *epoch = text(Some(entry.value.clone()));
            entries.push(entry);
        }
        for (key, token) in keys.iter().zip(tokens) {
            if token.is_none() {
                let new = self.commands.tokens.next();
                entries.push(SetEntry { key: key.clone(), value: new.clone().into_bytes(), ttl: self.token_ttl });
                *token = Some(new);
            }
        }
        entries.is_empty() || self.commands.set(&entries, self.commands.timeout).await
    }

    /// Replaces the tokens of changed scopes; those that Redis confirms are no longer pending.
    async fn publish_invalidations(&self, scopes: &[(OwnedScope, Mark)]) -> Result<(), CommandError> {
        let entries: Vec<SetEntry> = scopes
            .iter()
            .map(|(scope, _)| SetEntry {
                key: scope.as_scope().generation_key(&self.commands.prefix),
                value: self.commands.tokens.next().into_bytes(),
                ttl: self.token_ttl,
            })
            .collect();
        self.commands.replace_or_delete(&entries, INVALIDATION_TIMEOUT).await?;
        self.pending.acknowledge(scopes);
        Ok(())
    }
}

impl<R: Redis> Coherence for Shared<R> {
    fn is_trusted(&self, scopes: &[Scope<'_>], now: Instant) -> bool {
        self.lease.is_after(now) && !self.rotations.is_pending() && !self.is_pending(scopes, now)
    }

    async fn is_current(&self, generation: &Generation, scopes: &[Scope<'_>]) -> bool {
        self.fetcher.current(self.generation_keys(scopes), self.commands.timeout).await.as_ref() == Some(generation)
    }

    async fn fetch(&self, scopes: &[Scope<'_>], key: &str) -> Option<Fetched> {
        let generation_keys = self.generation_keys(scopes);
        let mut keys = Vec::with_capacity(scopes.len() + 2);
        keys.push(self.commands.epoch_key());
        keys.extend_from_slice(&generation_keys);
        keys.push(self.commands.value_key(key));
        let mut values = self.commands.get(&keys).await?;
        let value = values.pop().flatten();
        let mut tokens = values.into_iter().map(text);
        let mut epoch = tokens.next().flatten();
        let mut tokens: Vec<Option<String>> = tokens.collect();
        if !self.create_missing(&mut epoch, &generation_keys, &mut tokens).await {
            self.commands.metrics.misses.inc();
            return None;
        }
        Some(Fetched { generation: Generation::shared(&epoch?, &tokens)?, value })
    }

    async fn invalidate(&self, scopes: &[Scope<'_>], now: Instant) {
        let mark = self.pending.record(scopes, now);
        let scopes: Vec<(OwnedScope, Mark)> = scopes.iter().map(|scope| (OwnedScope::from(*scope), mark)).collect();
        match self.publish_invalidations(&scopes).await {
            Ok(()) => {}
            Err(CommandError::NotConnected(_)) => self.note_failure(now),
            Err(_) => self.note_failed_attempt(now, now),
        }
    }

    fn is_settled(&self, scopes: &[Scope<'_>], committed_at: Instant, now: Instant) -> bool {
        let outage = self.outage();
        let leases_have_ended = outage.leases_end_at.is_none_or(|end| end <= now);
        if !self.is_pending(scopes, now) {
            return leases_have_ended || !outage.is_role_change;
        }
        let has_failed = outage.attempted_at.is_some_and(|began_at| began_at >= committed_at);
        leases_have_ended && (has_failed || now >= committed_at + ATTEMPT_TIMEOUT)
    }

    fn invalidate_everything(&self) {
        self.rotations.request();
    }

    /// Other processes are notified as well, but not at the same time: the tokens are replaced, in the background.
    fn invalidate_announced(&self, scopes: &[Scope<'_>], now: Instant) {
        self.pending.record(scopes, now);
    }

    fn invalidate_later(&self, scopes: &[Scope<'_>], now: Instant) {
        self.pending.record(scopes, now);
    }

    async fn maintain(&self, is_connected: bool, clock: impl Fn() -> Instant + Send) {
        if !is_connected {
            return;
        }
        for scopes in self.pending.pending(clock()).chunks(MAX_PUBLISHED_SCOPES) {
            if self.publish_invalidations(scopes).await.is_err() {
                break;
            }
        }
        self.extend_lease(clock).await;
    }

    fn rotate_epoch(&self) -> SetEntry {
        self.commands.new_epoch()
    }

    fn connected(&self, began_at: Instant) {
        self.lease.extend(began_at + LEASE);
        self.outage().is_present = false;
    }

    fn disconnected(&self, is_role_change: bool, began_at: Instant, now: Instant) {
        self.note_failed_attempt(began_at, now);
        self.outage().is_role_change |= is_role_change;
    }
}

/// A token, which is text if it is one of ours.
fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.and_then(|bytes| String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::tests::fakes::{self, FakeRedis, Fate, Server};
    use super::*;

    const TTL: Duration = Duration::from_secs(20);
    const FILL_TIMEOUT: Duration = Duration::from_secs(5);
    const ONE: Scope<'_> = Scope::member("e", "1");
    const OTHER: Scope<'_> = Scope::member("e", "2");

    fn shared(server: &Arc<Mutex<Server>>, instance: usize) -> Shared<FakeRedis> {
        let shared = Shared::new(fakes::commands(server, instance), TTL, FILL_TIMEOUT);
        server.lock().unwrap().connect(instance, shared.rotate_epoch());
        shared.connected(Instant::now());
        shared
    }

    fn generation(shared: &Shared<FakeRedis>, scopes: &[Scope<'_>]) -> Option<Generation> {
        fakes::run(shared.fetch(scopes, "k")).map(|fetched| fetched.generation)
    }

    #[test]
    fn tokens_that_are_missing_are_created_once() {
        let server = Server::shared(2);
        let (here, there) = (shared(&server, 0), shared(&server, 1));
        let first = generation(&here, &[ONE, OTHER]).unwrap();
        assert_eq!(generation(&there, &[ONE, OTHER]), Some(first.clone()));
        assert_ne!(generation(&there, &[ONE]), Some(first));
    }

    #[test]
    fn a_change_ends_the_generation_for_every_instance() {
        let server = Server::shared(2);
        let (here, there) = (shared(&server, 0), shared(&server, 1));
        let (one, other) = (generation(&there, &[ONE]), generation(&there, &[OTHER]));
        fakes::run(here.invalidate(&[ONE], Instant::now()));
        assert_ne!(generation(&there, &[ONE]), one);
        assert_eq!(generation(&there, &[OTHER]), other);
    }

    #[test]
    fn an_invalidation_that_redis_does_not_confirm_is_repeated_and_not_trusted_until_then() {
        let (server, now) = (Server::shared(1), Instant::now());
        let shared = shared(&server, 0);
        for fate in [Fate::Lost, Fate::AnswerLost, Fate::Delayed] {
            server.lock().unwrap().fate = fate;
            fakes::run(shared.invalidate(&[ONE], now));
            assert!(!shared.is_trusted(&[ONE], now) && shared.is_trusted(&[OTHER], now), "{fate:?}");
            fakes::run(shared.maintain(false, || now));
            assert!(!shared.is_trusted(&[ONE], now), "{fate:?}");
            server.lock().unwrap().fate = Fate::Executed;
            server.lock().unwrap().connect(0, shared.rotate_epoch());
            fakes::run(shared.maintain(true, || now));
            assert!(shared.is_trusted(&[ONE], now), "{fate:?}");
        }
    }

    #[test]
    fn an_unconfirmed_invalidation_is_forgotten_when_no_value_from_before_it_can_be_left() {
        let (server, now) = (Server::shared(1), Instant::now());
        let shared = shared(&server, 0);
        server.lock().unwrap().disconnect(0);
        fakes::run(shared.invalidate(&[ONE], now));
        assert!(shared.is_pending(&[ONE], now + TTL + FILL_TIMEOUT - Duration::from_millis(1)));
        assert!(!shared.is_pending(&[ONE], now + TTL + FILL_TIMEOUT));
    }

    #[test]
    fn a_change_by_another_program_ends_every_generation_and_nothing_is_trusted_until_redis_confirms_that() {
        let (server, now) = (Server::shared(2), Instant::now());
        let (here, there) = (shared(&server, 0), shared(&server, 1));
        let before = generation(&there, &[ONE]);
        here.invalidate_everything();
        assert!(!here.is_trusted(&[ONE], now) && !here.is_trusted(&[OTHER], now));
        fakes::run(here.rotate_epochs());
        assert!(here.is_trusted(&[ONE], now));
        assert_ne!(generation(&there, &[ONE]), before);
        server.lock().unwrap().fate = Fate::Lost;
        here.invalidate_everything();
        fakes::run(here.rotate_epochs());
        assert!(!here.is_trusted(&[ONE], now), "Redis has not confirmed it");
        server.lock().unwrap().fate = Fate::Executed;
        server.lock().unwrap().connect(0, here.rotate_epoch());
        fakes::run(here.maintain(true, || now));
        assert!(here.is_trusted(&[ONE], now));
    }

    #[test]
    fn redis_is_trusted_only_shortly_after_it_has_confirmed_a_write() {
        let server = Server::shared(1);
        let shared = shared(&server, 0);
        let (before, now) = (generation(&shared, &[ONE]), Instant::now());
        fakes::run(shared.maintain(true, || now));
        assert!(shared.is_trusted(&[ONE], now) && !shared.is_trusted(&[ONE], now + LEASE));
        assert_eq!(generation(&shared, &[ONE]), before, "a lease that is extended in time keeps the epoch");
        fakes::run(shared.maintain(true, || now + LEASE));
        assert!(shared.is_trusted(&[ONE], now + LEASE));
        assert_ne!(generation(&shared, &[ONE]), before, "after the end of a lease another epoch begins");
    }

    #[test]
    fn a_change_that_redis_does_not_confirm_is_settled_when_every_lease_has_ended() {
        let (server, now) = (Server::shared(1), Instant::now());
        let shared = shared(&server, 0);
        server.lock().unwrap().disconnect(0);
        fakes::run(shared.invalidate(&[ONE], now));
        assert!(!shared.is_settled(&[ONE], now, now) && shared.is_settled(&[OTHER], now, now));
        assert!(shared.is_settled(&[ONE], now, now + LEASE));
        let later = now + LEASE * 2;
        fakes::run(shared.invalidate(&[OTHER], later));
        assert!(!shared.is_settled(&[OTHER], later, later), "Redis may have been cured before the change");
        shared.disconnected(false, later, later);
        assert!(shared.is_settled(&[OTHER], later, later), "Redis has failed for longer than a lease, and still does");
    }

    #[test]
    fn a_change_of_unknown_outcome_is_published_in_the_background() {
        let (server, now) = (Server::shared(1), Instant::now());
        let shared = shared(&server, 0);
        let before = generation(&shared, &[ONE]);
        shared.invalidate_later(&[ONE], now);
        assert!(!shared.is_trusted(&[ONE], now));
        fakes::run(shared.maintain(true, || now));
        assert!(shared.is_trusted(&[ONE], now));
        assert_ne!(generation(&shared, &[ONE]), before);
    }

    #[test]
    fn a_redis_that_restarts_from_a_snapshot_brings_back_no_generation() {
        let server = Server::shared(1);
        let shared = shared(&server, 0);
        let before = generation(&shared, &[ONE]);
        server.lock().unwrap().take_snapshot();
        fakes::run(shared.invalidate(&[ONE], Instant::now()));
        server.lock().unwrap().restart();
        assert_eq!(generation(&shared, &[ONE]), None, "there is no connection");
        server.lock().unwrap().connect(0, shared.rotate_epoch());
        assert_ne!(generation(&shared, &[ONE]), before);
    }
}
