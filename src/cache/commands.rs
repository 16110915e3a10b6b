//! The commands that the cache sends to Redis.
//!
//! Policy: the cache needs GET, MGET and SET only, each in one round trip with a time limit; DEL replaces a SET for which a shared Redis has no memory. An error is
//! counted and logged; for the caller it is the lack of an answer, never an error of its own.

use std::future::Future;
use std::time::{Duration, Instant};

use prometheus::Histogram;

use super::error::CommandError;
use super::generation::UniqueTokens;
use super::metrics::CacheMetrics;

/// The epoch key lives this long; when it is gone, the next read begins another epoch.
const EPOCH_TTL: Duration = Duration::from_secs(24 * 3600);
/// The key that shows whether Redis accepts writes lives this long.
const PROBE_TTL: Duration = Duration::from_secs(60);

/// A value to be stored.
#[derive(Debug, Clone)]
pub(super) struct SetEntry {
    pub(super) key: String,
    pub(super) value: Vec<u8>,
    pub(super) ttl: Duration,
}

/// What is needed of Redis.
pub(super) trait Redis: Send + Sync + 'static {
    /// GET of every key. Fails as a whole if one of them is not a string.
    fn get(
        &self,
        keys: &[String],
        timeout: Duration,
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>, CommandError>> + Send;

    /// One MGET: a key that is not a string counts as absent.
    fn mget(
        &self,
        keys: &[&str],
        timeout: Duration,
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>, CommandError>> + Send;

    /// SET of every entry.
    fn set(&self, entries: &[SetEntry], timeout: Duration) -> impl Future<Output = Result<(), CommandError>> + Send;

    /// Makes sure that no key of the entries has its former value: SET of every entry, or DEL if there is no memory for that.
    fn replace_or_delete(
        &self,
        entries: &[SetEntry],
        timeout: Duration,
    ) -> impl Future<Output = Result<(), CommandError>> + Send;
}

/// A Redis, the keys of this cache in it, and where its use is counted.
#[derive(Debug)]
pub(super) struct Commands<R> {
    pub(super) redis: R,
    pub(super) prefix: String,
    /// How long a read waits.
    pub(super) timeout: Duration,
    pub(super) metrics: CacheMetrics,
    pub(super) tokens: UniqueTokens,
}

impl<R: Redis> Commands<R> {
    /// The key in Redis of a value.
    pub(super) fn value_key(&self, key: &str) -> String {
        [&self.prefix, key].concat()
    }

    pub(super) fn epoch_key(&self) -> String {
        [&self.prefix, "epoch"].concat()
    }

    /// The command that begins a new epoch.
    pub(super) fn new_epoch(&self) -> SetEntry {
        SetEntry { key: self.epoch_key(), value: self.tokens.next().into_bytes(), ttl: EPOCH_TTL }
    }

    /// The command that changes nothing and shows whether Redis accepts writes.
    pub(super) fn probe(&self) -> SetEntry {
        SetEntry { key: self.value_key("probe"), value: b"1".to_vec(), ttl: PROBE_TTL }
    }

    pub(super) async fn get(&self, keys: &[String]) -> Option<Vec<Option<Vec<u8>>>> {
        self.observed(&self.metrics.get, self.redis.get(keys, self.timeout))
            .await
            .filter(|values| values.len() == keys.len())
    }

    pub(super) async fn mget(&self, keys: &[&str]) -> Option<Vec<Option<Vec<u8>>>> {
        self.observed(&self.metrics.get, self.redis.mget(keys, self.timeout))
            .await
            .filter(|values| values.len() == keys.len())
    }

    /// Whether Redis has confirmed all entries within the time.
    pub(super) async fn set(&self, entries: &[SetEntry], timeout: Duration) -> bool {
        self.observed(&self.metrics.set, self.redis.set(entries, timeout)).await.is_some()
    }

    /// Makes sure that no key of the entries has its former value, within the time.
    pub(super) async fn replace_or_delete(&self, entries: &[SetEntry], timeout: Duration) -> Result<(), CommandError> {
        self.observe(&self.metrics.set, self.redis.replace_or_delete(entries, timeout)).await
    }

    async fn observed<T>(
        &self,
        histogram: &Histogram,
        command: impl Future<Output = Result<T, CommandError>>,
    ) -> Option<T> {
        self.observe(histogram, command).await.ok()
    }

    async fn observe<T>(
        &self,
        histogram: &Histogram,
        command: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        let started = Instant::now();
        let outcome = command.await;
        match &outcome {
            Err(CommandError::NotConnected(_)) => return outcome,
            Err(error) => {
                self.metrics.errors.inc();
                tracing::debug!(fault = %error, "a cache command failed");
            }
            Ok(_) => {}
        }
        histogram.observe(started.elapsed().as_secs_f64());
        outcome
    }
}
