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
//! - Redis does not confirm the new tokens in time. The change is acknowledged all the same; this process remembers its scopes
//!   (`pending_invalidations.rs`) and does not use cached values of them until Redis has confirmed tokens that were sent after the
//!   commit, or until every value that was stored before the change has expired. Other processes are behind for at most that long.
//! - A token is evicted or expires. The next read makes a new one before it reads the data, and nothing is stored under that one yet. A
//!   token lives longer than the values stored under it.
//! - Redis restarts from an older snapshot, or is replaced by a replica that lags behind. That would bring back tokens which a change had
//!   replaced, and values stored under them. It also ends every connection, and each new connection first replaces the epoch's token.
//! - A SET that was given up is executed late. It can only replace one token by another unique one.
//!
//! A change without a known outcome is recorded like one that Redis has not confirmed, and its tokens are replaced in the background.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::coherence::{Coherence, Fetched};
use super::commands::{Commands, Redis, SetEntry};
use super::generation::Generation;
use super::generation_fetcher::{FetchRound, GenerationFetcher};
use super::pending_invalidations::{Mark, PendingInvalidations};
use super::scope::{OwnedScope, Scope};

/// A change waits this long for Redis to confirm its new tokens; a read has its own, shorter time.
pub(super) const INVALIDATION_TIMEOUT: Duration = Duration::from_millis(500);
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
}

impl<R: Redis> Shared<R> {
    /// `ttl` is the life of a stored value, and `fill_timeout` the longest time between the read of a generation and the moment
    /// Redis stores a value under it.
    pub(super) fn new(commands: Arc<Commands<R>>, ttl: Duration, fill_timeout: Duration) -> Self {
        let pending = PendingInvalidations::new(ttl + fill_timeout);
        Self { commands, fetcher: GenerationFetcher::default(), pending, token_ttl: ttl * TOKEN_TTL_FACTOR }
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
    async fn publish_invalidations(&self, scopes: &[(OwnedScope, Mark)]) -> bool {
        let entries: Vec<SetEntry> = scopes
            .iter()
            .map(|(scope, _)| SetEntry {
                key: scope.as_scope().generation_key(&self.commands.prefix),
                value: self.commands.tokens.next().into_bytes(),
                ttl: self.token_ttl,
            })
            .collect();
        let is_confirmed = self.commands.set(&entries, INVALIDATION_TIMEOUT).await;
        if is_confirmed {
            self.pending.acknowledge(scopes);
        }
        is_confirmed
    }
}

impl<R: Redis> Coherence for Shared<R> {
    fn is_trusted(&self, scopes: &[Scope<'_>], now: Instant) -> bool {
        !self.pending.covers(scopes, now)
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
        self.publish_invalidations(&scopes).await;
    }

    fn invalidate_later(&self, scopes: &[Scope<'_>], now: Instant) {
        self.pending.record(scopes, now);
    }

    async fn maintain(&self, is_connected: bool, now: Instant) {
        if !is_connected {
            return;
        }
        for scopes in self.pending.pending(now).chunks(MAX_PUBLISHED_SCOPES) {
            if !self.publish_invalidations(scopes).await {
                break;
            }
        }
    }

    fn rotate_epoch(&self) -> SetEntry {
        self.commands.new_epoch()
    }
}

/// A token, which is text if it is one of ours.
fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.and_then(|bytes| String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::fakes::{self, FakeRedis, Fate, Server};
    use super::*;

    const TTL: Duration = Duration::from_secs(20);
    const FILL_TIMEOUT: Duration = Duration::from_secs(5);
    const ONE: Scope<'_> = Scope::member("e", "1");
    const OTHER: Scope<'_> = Scope::member("e", "2");

    fn shared(server: &Arc<Mutex<Server>>, instance: usize) -> Shared<FakeRedis> {
        let shared = Shared::new(fakes::commands(server, instance), TTL, FILL_TIMEOUT);
        server.lock().unwrap().connect(instance, shared.rotate_epoch());
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
            fakes::run(shared.maintain(false, now));
            assert!(!shared.is_trusted(&[ONE], now), "{fate:?}");
            server.lock().unwrap().fate = Fate::Executed;
            server.lock().unwrap().connect(0, shared.rotate_epoch());
            fakes::run(shared.maintain(true, now));
            assert!(shared.is_trusted(&[ONE], now), "{fate:?}");
        }
    }

    #[test]
    fn an_unconfirmed_invalidation_is_forgotten_when_no_value_from_before_it_can_be_left() {
        let (server, now) = (Server::shared(1), Instant::now());
        let shared = shared(&server, 0);
        server.lock().unwrap().disconnect(0);
        fakes::run(shared.invalidate(&[ONE], now));
        assert!(!shared.is_trusted(&[ONE], now + TTL + FILL_TIMEOUT - Duration::from_millis(1)));
        assert!(shared.is_trusted(&[ONE], now + TTL + FILL_TIMEOUT));
    }

    #[test]
    fn a_change_of_unknown_outcome_is_published_in_the_background() {
        let (server, now) = (Server::shared(1), Instant::now());
        let shared = shared(&server, 0);
        let before = generation(&shared, &[ONE]);
        shared.invalidate_later(&[ONE], now);
        assert!(!shared.is_trusted(&[ONE], now));
        fakes::run(shared.maintain(true, now));
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
