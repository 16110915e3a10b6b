//! The cache over any Redis: memory, coherence protocol and write queue, without the tasks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::WallClock;
use super::codec;
use super::coherence::{Coherence, Fetched};
use super::commands::{Commands, Redis, SetEntry};
use super::generation::{FillToken, UniqueTokens};
use super::memory::{Entry, Memory};
use super::metrics::CacheMetrics;
use super::options::CacheOptions;
use super::private::Private;
use super::scope::Scope;
use super::shared::Shared;
use super::value::CacheValue;
use super::write_queue::{QueuedWrite, WriteQueue};

/// A value is stored only within this time after its generation was read: an invalidation that Redis did not confirm is remembered
/// for the life of a value and this time.
const FILL_TIMEOUT: Duration = Duration::from_secs(5);
/// Values under longer keys are not cached: they are rare and not worth the memory.
const MAX_KEY_LEN: usize = 1024;

/// What a read found.
#[derive(Debug)]
pub enum Lookup<V> {
    /// A valid value.
    Hit(V),
    /// None; a value that is read from now on may be stored with this token.
    Miss(FillToken),
    /// The cache cannot be used for this read.
    Bypass,
}

/// The parts of a cache.
#[derive(Debug)]
pub(super) struct Engine<V: CacheValue, R> {
    pub(super) protocol: Protocol<R>,
    pub(super) commands: Arc<Commands<R>>,
    memory: Memory<V>,
    write_queue: WriteQueue<V>,
    clock: WallClock,
    ttl: Duration,
    max_value: usize,
}

/// The coherence protocol, which depends on whether other processes use the keys.
#[derive(Debug)]
pub(super) enum Protocol<R> {
    Private(Private<R>),
    Shared(Shared<R>),
}

impl<V: CacheValue, R: Redis> Engine<V, R> {
    pub(super) fn new(options: CacheOptions, redis: R, seed: u64, metrics: CacheMetrics) -> Self {
        let CacheOptions { prefix, is_private, timeout, ttl, max_value, local_memory } = options;
        let commands = Arc::new(Commands { redis, prefix, timeout, metrics, tokens: UniqueTokens::new(seed) });
        let longest_fill = FILL_TIMEOUT + timeout;
        let protocol = if is_private {
            Protocol::Private(Private::new(Arc::clone(&commands), seed, ttl + longest_fill))
        } else {
            Protocol::Shared(Shared::new(Arc::clone(&commands), ttl, longest_fill))
        };
        Self {
            protocol,
            commands,
            memory: Memory::new(local_memory),
            write_queue: WriteQueue::new(),
            clock: WallClock::new(),
            ttl,
            max_value,
        }
    }

    pub(super) fn max_value(&self) -> usize {
        self.max_value
    }

    pub(super) fn can_answer_from_memory(&self) -> bool {
        self.memory.is_enabled() && matches!(self.protocol, Protocol::Private(_))
    }

    pub(super) fn try_cached(&self, scopes: &[Scope<'_>], key: &str, now: Instant) -> Option<V> {
        let Protocol::Private(private) = &self.protocol else { return None };
        let generation = private.current(scopes);
        let entry = self.memory.get(key, now)?;
        (entry.generation == generation).then(|| self.memory_hit(entry))
    }

    pub(super) async fn lookup(&self, scopes: &[Scope<'_>], key: &str, now: Instant) -> Lookup<V> {
        if key.len() > MAX_KEY_LEN {
            return Lookup::Bypass;
        }
        match &self.protocol {
            Protocol::Private(private) => self.lookup_by(private, scopes, key, now).await,
            Protocol::Shared(shared) => self.lookup_by(shared, scopes, key, now).await,
        }
    }

    async fn lookup_by(&self, protocol: &impl Coherence, scopes: &[Scope<'_>], key: &str, now: Instant) -> Lookup<V> {
        if !protocol.is_trusted(scopes, now) {
            return Lookup::Bypass;
        }
        if let Some(entry) = self.memory.get(key, now)
            && protocol.is_current(&entry.generation, scopes).await
        {
            return Lookup::Hit(self.memory_hit(entry));
        }
        // In a box, so that a hit in memory does not pay for its room.
        match Box::pin(protocol.fetch(scopes, key)).await {
            Some(fetched) => self.fetched(fetched, key, now),
            None => Lookup::Bypass,
        }
    }

    /// A valid value from Redis is also kept in memory, for the rest of its time.
    fn fetched(&self, Fetched { generation, value }: Fetched, key: &str, now: Instant) -> Lookup<V> {
        let Some(stored) = value.and_then(|value| codec::decode::<V>(value, &generation)) else {
            self.commands.metrics.misses.inc();
            return Lookup::Miss(FillToken { key: key.to_owned(), generation, issued_at: now });
        };
        self.commands.metrics.hits.inc();
        // A value from the future was read by an instance with another clock.
        if let Some(left) = self.clock.age(stored.read_at, now).and_then(|age| self.ttl.checked_sub(age)) {
            self.memory.insert(key, Entry { generation, value: stored.value.clone(), expires_at: now + left });
        }
        Lookup::Hit(stored.value)
    }

    pub(super) fn store(&self, token: FillToken, value: &V, now: Instant, queue: bool) {
        if value.size() > self.max_value || is_late(&token, now) {
            return;
        }
        let FillToken { key, generation, issued_at } = &token;
        let entry = Entry { generation: generation.clone(), value: value.clone(), expires_at: *issued_at + self.ttl };
        self.memory.insert(key, entry);
        if queue {
            self.write_queue.push(QueuedWrite { token, value: value.clone() });
        }
    }

    /// Stores the next queued values in Redis, unless they have waited too long.
    pub(super) async fn write_next(&self, clock: impl Fn() -> Instant) {
        let writes = self.write_queue.next().await;
        let now = clock();
        let entries: Vec<SetEntry> =
            writes.iter().filter(|write| !is_late(&write.token, now)).map(|write| self.set_entry(write)).collect();
        if !entries.is_empty() {
            self.commands.set(&entries, self.commands.timeout).await;
        }
    }

    fn set_entry(&self, QueuedWrite { token, value }: &QueuedWrite<V>) -> SetEntry {
        let FillToken { key, generation, issued_at } = token;
        let value = codec::encode(generation, self.clock.millis(*issued_at), value);
        SetEntry { key: self.commands.value_key(key), value, ttl: self.ttl }
    }

    pub(super) async fn invalidate(&self, scopes: &[Scope<'_>], now: Instant) {
        match &self.protocol {
            Protocol::Private(private) => private.invalidate(scopes, now).await,
            Protocol::Shared(shared) => shared.invalidate(scopes, now).await,
        }
    }

    pub(super) fn invalidate_later(&self, scopes: &[Scope<'_>], now: Instant) {
        match &self.protocol {
            Protocol::Private(private) => private.invalidate_later(scopes, now),
            Protocol::Shared(shared) => shared.invalidate_later(scopes, now),
        }
    }

    pub(super) async fn maintain(&self, is_connected: bool, now: Instant) {
        match &self.protocol {
            Protocol::Private(private) => private.maintain(is_connected, now).await,
            Protocol::Shared(shared) => shared.maintain(is_connected, now).await,
        }
    }

    pub(super) fn rotate_epoch(&self) -> SetEntry {
        match &self.protocol {
            Protocol::Private(private) => private.rotate_epoch(),
            Protocol::Shared(shared) => shared.rotate_epoch(),
        }
    }

    fn memory_hit(&self, entry: Entry<V>) -> V {
        self.commands.metrics.hits.inc();
        self.commands.metrics.memory_hits.inc();
        entry.value
    }
}

/// Whether the value of a token must not be stored any more.
fn is_late(token: &FillToken, now: Instant) -> bool {
    now.saturating_duration_since(token.issued_at) >= FILL_TIMEOUT
}
