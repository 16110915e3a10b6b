//! The cache over any Redis: memory, coherence protocol and write queue, without the tasks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::authentication::AuthenticationKey;
use super::clock::WallClock;
use super::codec::{self, StoredValue};
use super::coherence::{Coherence, Fetched};
use super::commands::{Commands, Redis, SetEntry};
use super::deadline::Deadline;
use super::generation::{FillToken, Generation, UniqueTokens};
use super::memory::{CachedEntry, Memory};
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
/// The shortest life that Redis can give a value.
const MIN_TTL: Duration = Duration::from_millis(1);
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
    /// What is cached, for the log.
    pub(super) name: &'static str,
    authentication: Option<AuthenticationKey>,
    memory: Memory<V>,
    write_queue: WriteQueue<V>,
    clock: WallClock,
    /// Until when values may be used, because changes by others are received.
    trust: Deadline,
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
        let CacheOptions {
            name,
            prefix,
            is_private,
            needs_proof,
            timeout,
            ttl,
            max_value,
            local_memory,
            authentication,
        } = options;
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
            name,
            authentication,
            memory: Memory::new(local_memory),
            write_queue: WriteQueue::new(),
            clock: WallClock::new(),
            trust: if needs_proof { Deadline::passed() } else { Deadline::never() },
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

    pub(super) fn try_cached(&self, scopes: &[Scope<'_>], key: &str, now: Instant) -> Option<CachedEntry<V>> {
        let generation = self.known_generation(scopes, now)?;
        let entry = self.memory.get(key, now)?;
        (entry.generation == generation).then(|| {
            self.count_memory_hit();
            entry
        })
    }

    pub(super) fn is_valid(&self, entry: &CachedEntry<V>, scopes: &[Scope<'_>], now: Instant) -> bool {
        let is_valid = entry.expires_at > now
            && self.known_generation(scopes, now).is_some_and(|current| current == entry.generation);
        if is_valid {
            self.count_memory_hit();
        }
        is_valid
    }

    /// The current generation, if this process has it itself and values may be used.
    fn known_generation(&self, scopes: &[Scope<'_>], now: Instant) -> Option<Generation> {
        let Protocol::Private(private) = &self.protocol else { return None };
        self.trust.is_after(now).then(|| private.current(scopes))
    }

    pub(super) async fn lookup(&self, scopes: &[Scope<'_>], key: &str, now: Instant) -> Lookup<V> {
        if key.len() > MAX_KEY_LEN || !self.trust.is_after(now) {
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
            self.count_memory_hit();
            return Lookup::Hit(entry.value);
        }
        // In a box, so that a hit in memory does not pay for its room.
        match Box::pin(protocol.fetch(scopes, key)).await {
            Some(fetched) => self.fetched(fetched, key, now),
            None => Lookup::Bypass,
        }
    }

    /// A valid value from Redis is also kept in memory, for the rest of its time.
    fn fetched(&self, Fetched { generation, value }: Fetched, key: &str, now: Instant) -> Lookup<V> {
        let Some(stored) = value.and_then(|value| self.decode(value, &generation, key, now)) else {
            self.commands.metrics.misses.inc();
            return Lookup::Miss(FillToken { key: key.to_owned(), generation, issued_at: now });
        };
        self.commands.metrics.hits.inc();
        // A value from the future was read by an instance with another clock.
        if let Some(left) = self.clock.age(stored.read_at, now).and_then(|age| self.ttl.checked_sub(age)) {
            self.memory.insert(key, CachedEntry { generation, value: stored.value.clone(), expires_at: now + left });
        }
        Lookup::Hit(stored.value)
    }

    /// A value that Redis holds, if it is one. Of a signed one, Redis is not trusted to have removed it in time either.
    fn decode(&self, value: Vec<u8>, generation: &Generation, key: &str, now: Instant) -> Option<StoredValue<V>> {
        let Some(authentication) = &self.authentication else { return codec::decode(value, generation) };
        let stored = codec::decode(authentication.verify(key, value)?, generation)?;
        self.clock.is_within(stored.read_at, now, self.ttl).then_some(stored)
    }

    pub(super) fn store(&self, token: FillToken, value: &V, now: Instant, queue: bool) {
        if value.size() > self.max_value || is_late(&token, now) {
            return;
        }
        let FillToken { key, generation, issued_at } = &token;
        let entry =
            CachedEntry { generation: generation.clone(), value: value.clone(), expires_at: *issued_at + self.ttl };
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
            writes.iter().filter(|write| !is_late(&write.token, now)).map(|write| self.set_entry(write, now)).collect();
        if !entries.is_empty() {
            self.commands.set(&entries, self.commands.timeout).await;
        }
    }

    /// The entry lives for the rest of the value's time.
    fn set_entry(&self, QueuedWrite { token, value }: &QueuedWrite<V>, now: Instant) -> SetEntry {
        let FillToken { key, generation, issued_at } = token;
        let mut value = codec::encode(generation, self.clock.millis(*issued_at), value);
        if let Some(authentication) = &self.authentication {
            value = authentication.sign(key, &value);
        }
        let left = self.ttl.saturating_sub(now.saturating_duration_since(*issued_at));
        SetEntry { key: self.commands.value_key(key), value, ttl: left.max(MIN_TTL) }
    }

    pub(super) async fn invalidate(&self, scopes: &[Scope<'_>], now: Instant) {
        match &self.protocol {
            Protocol::Private(private) => private.invalidate(scopes, now).await,
            Protocol::Shared(shared) => shared.invalidate(scopes, now).await,
        }
    }

    pub(super) fn invalidate_everything(&self) {
        match &self.protocol {
            Protocol::Private(private) => private.invalidate_everything(),
            Protocol::Shared(shared) => shared.invalidate_everything(),
        }
    }

    pub(super) fn invalidate_announced(&self, scopes: &[Scope<'_>], now: Instant) {
        match &self.protocol {
            Protocol::Private(private) => private.invalidate_announced(scopes, now),
            Protocol::Shared(shared) => shared.invalidate_announced(scopes, now),
        }
    }

    pub(super) fn trust_until(&self, until: Instant) {
        self.trust.extend(until);
    }

    pub(super) fn invalidate_later(&self, scopes: &[Scope<'_>], now: Instant) {
        match &self.protocol {
            Protocol::Private(private) => private.invalidate_later(scopes, now),
            Protocol::Shared(shared) => shared.invalidate_later(scopes, now),
        }
    }

    pub(super) fn is_settled(&self, scopes: &[Scope<'_>], committed_at: Instant, now: Instant) -> bool {
        match &self.protocol {
            Protocol::Private(private) => private.is_settled(scopes, committed_at, now),
            Protocol::Shared(shared) => shared.is_settled(scopes, committed_at, now),
        }
    }

    /// Whether Redis has not confirmed an invalidation of one of the scopes.
    pub(super) fn is_pending(&self, scopes: &[Scope<'_>], now: Instant) -> bool {
        match &self.protocol {
            Protocol::Private(_) => false,
            Protocol::Shared(shared) => shared.is_pending(scopes, now),
        }
    }

    pub(super) async fn maintain(&self, is_connected: bool, clock: impl Fn() -> Instant + Send) {
        match &self.protocol {
            Protocol::Private(private) => private.maintain(is_connected, clock).await,
            Protocol::Shared(shared) => shared.maintain(is_connected, clock).await,
        }
    }

    pub(super) fn connected(&self, began_at: Instant) {
        match &self.protocol {
            Protocol::Private(private) => private.connected(began_at),
            Protocol::Shared(shared) => shared.connected(began_at),
        }
    }

    pub(super) fn disconnected(&self, is_role_change: bool, began_at: Instant, now: Instant) {
        match &self.protocol {
            Protocol::Private(private) => private.disconnected(is_role_change, began_at, now),
            Protocol::Shared(shared) => shared.disconnected(is_role_change, began_at, now),
        }
    }

    pub(super) fn rotate_epoch(&self) -> SetEntry {
        match &self.protocol {
            Protocol::Private(private) => private.rotate_epoch(),
            Protocol::Shared(shared) => shared.rotate_epoch(),
        }
    }

    fn count_memory_hit(&self) {
        self.commands.metrics.hits.inc();
        self.commands.metrics.memory_hits.inc();
    }
}

/// Whether the value of a token must not be stored any more.
fn is_late(token: &FillToken, now: Instant) -> bool {
    now.saturating_duration_since(token.issued_at) >= FILL_TIMEOUT
}
