//! A cache in this process and in Redis, or in this process alone, that never returns a value from before an acknowledged change.
//!
//! Policy: a value is stored with the generation of its scopes that was current before its data was read, and is valid only while that
//! generation is current. A change ends the generations of its scopes after its commit and before its acknowledgement. So a read that saw the
//! old data can store it at any time: no later read will use it. A read tries this process's memory (`memory.rs`), then
//! Redis; a cache that is down, slow or holds something else is a miss, never an error, and no read waits for a value to be stored
//! (`write_queue.rs`). The keys, the scopes and the values belong to the caller.
//!
//! How a process determines which generation is current is one of two coherence protocols with one interface (`coherence.rs`): a Redis that
//! only this process uses, or none (`private.rs`), or one that others share (`shared.rs`). Each file argues why it is fresh.
//!
//! Changes by other programs than this service are not invalidated by it. The caller is notified of them, ends the generations concerned for each
//! ([`Cache::invalidate_everything`], [`Cache::invalidate_announced`]), and renews the time until which these notifications are certain
//! ([`Cache::trust_until`]); after that moment no value is used. `private.rs` says what that guarantees.
//!
//! The life of a value counts from before its data was read, also when it goes from Redis into memory. Instances whose clocks differ may
//! double it there.

mod acknowledgement;
mod authentication;
mod background;
mod clock;
mod codec;
mod coherence;
mod commands;
mod connection;
mod deadline;
mod engine;
mod error;
mod error_reply;
#[cfg(fuzzing)]
pub mod fuzzing;
mod generation;
mod generation_fetcher;
mod memory;
mod metrics;
mod options;
mod pending_invalidations;
mod private;
mod scope;
mod shared;
mod single_flight;
#[cfg(test)]
mod tests;
mod value;
mod write_queue;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use commands::Redis as _;
use connection::Connection;
use engine::Engine;

pub use acknowledgement::{ChangeInProgress, Concern, Confirmation};
pub use authentication::AuthenticationKey;
pub use engine::Lookup;
pub use error::{CommandError, ConnectionError};
pub use error_reply::ErrorReply;
pub use generation::FillToken;
pub use memory::CachedEntry;
pub use metrics::CacheMetrics;
pub use options::CacheOptions;
pub use scope::Scope;
pub use single_flight::{Leader, Participant, SingleFlight};
pub use value::CacheValue;

/// Time between two checks whether a change may be acknowledged.
const SETTLE_INTERVAL: Duration = Duration::from_millis(5);

/// A cache of values of one type.
#[derive(Debug)]
pub struct Cache<V: CacheValue> {
    engine: Arc<Engine<V, Connection>>,
    tasks: Vec<JoinHandle<()>>,
}

impl<V: CacheValue> Cache<V> {
    /// A cache over a Redis that may come up later. `seed` must differ from that of every other process and run.
    pub fn new(options: CacheOptions, client: redis::Client, seed: u64, metrics: CacheMetrics) -> Self {
        let connection = Connection::new(client, !options.is_private);
        Self::over(connection, options, seed, metrics)
    }

    /// A cache in this process's memory alone. No other process has its values, whatever the options say.
    pub fn in_memory(options: CacheOptions, seed: u64, metrics: CacheMetrics) -> Self {
        Self::over(Connection::absent(), CacheOptions { is_private: true, ..options }, seed, metrics)
    }

    fn over(connection: Connection, options: CacheOptions, seed: u64, metrics: CacheMetrics) -> Self {
        let engine = Arc::new(Engine::new(options, connection, seed, metrics));
        let tasks = background::start(&engine);
        Self { engine, tasks }
    }

    /// The largest value that is stored, in bytes.
    pub fn max_value(&self) -> usize {
        self.engine.max_value()
    }

    /// Whether [`Cache::try_cached`] can succeed: there is memory, and this process has the generations itself.
    pub fn can_answer_from_memory(&self) -> bool {
        self.engine.can_answer_from_memory()
    }

    /// A valid value that this process has in memory, if it needs to ask nothing else for it.
    pub fn try_cached(&self, scopes: &[Scope<'_>], key: &str, now: Instant) -> Option<V> {
        Some(self.engine.try_cached(scopes, key, now)?.value)
    }

    /// As [`Cache::try_cached`], for a caller that keeps the entry and asks again whether it is valid.
    pub fn try_cached_entry(&self, scopes: &[Scope<'_>], key: &str, now: Instant) -> Option<CachedEntry<V>> {
        self.engine.try_cached(scopes, key, now)
    }

    /// Whether an entry that was looked up for these scopes is still valid. Counts as a read from memory if it is.
    pub fn is_valid(&self, entry: &CachedEntry<V>, scopes: &[Scope<'_>], now: Instant) -> bool {
        self.engine.is_valid(entry, scopes, now)
    }

    /// Looks a value up. The key must include everything that the value depends on apart from the data, and determine the scopes.
    pub async fn lookup(&self, scopes: &[Scope<'_>], key: &str) -> Lookup<V> {
        self.engine.lookup(scopes, key, Instant::now()).await
    }

    /// Stores a value that was read after the token was issued. One that took too long to read is not stored.
    pub fn store(&self, token: FillToken, value: &V) {
        let is_connected = self.engine.commands.redis.is_connected();
        self.engine.store(token, value, Instant::now(), is_connected);
    }

    /// Makes every value of the scopes invalid. To be called after a change is committed and before it is acknowledged. When Redis does not
    /// confirm that, it waits until no other process can trust it either: for up to a second when Redis has just begun to fail, then for the next
    /// attempt to reach it.
    pub async fn invalidate(&self, scopes: &[Scope<'_>]) -> Confirmation {
        let committed_at = Instant::now();
        self.engine.invalidate(scopes, committed_at).await;
        while !self.engine.is_settled(scopes, committed_at, Instant::now()) {
            self.engine.commands.redis.want();
            tokio::time::sleep(SETTLE_INTERVAL).await;
        }
        match self.engine.is_pending(scopes, Instant::now()) {
            true => Confirmation::Unconfirmed,
            false => Confirmation::Confirmed,
        }
    }

    /// Makes every value invalid, because another program has changed data. Does not wait.
    pub fn invalidate_everything(&self) {
        self.engine.invalidate_everything();
    }

    /// Makes every value of the scopes invalid, because another process has changed them and has committed that. Does not wait.
    pub fn invalidate_announced(&self, scopes: &[Scope<'_>]) {
        self.engine.invalidate_announced(scopes, Instant::now());
    }

    /// Allows the use of values until this moment, because every change by others until shortly before it will have been followed by
    /// [`Cache::invalidate_everything`] or [`Cache::invalidate_announced`]. Needed again and again if [`CacheOptions::needs_proof`].
    pub fn trust_until(&self, until: Instant) {
        self.engine.trust_until(until);
    }

    /// Makes the values of the scopes invalid for a change that may not have happened, or not yet, and is not acknowledged. Does not
    /// wait for Redis.
    pub fn invalidate_later(&self, scopes: &[Scope<'_>]) {
        self.engine.invalidate_later(scopes, Instant::now());
    }

    /// Checks that Redis accepts a write.
    ///
    /// # Errors
    /// When it does not, or not in time.
    pub async fn ping(&self) -> Result<(), CommandError> {
        let commands = &self.engine.commands;
        commands.redis.set(&[commands.probe()], shared::INVALIDATION_TIMEOUT).await
    }
}

impl<V: CacheValue> Drop for Cache<V> {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
