//! Values kept in this process, in front of Redis.
//!
//! Policy: bounded in bytes, and no value is older than what Redis may hold. Whether an entry is valid is not decided
//! here: it has the generation it was read under, and its reader has the current one.

use std::time::Instant;

use foldhash::quality::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::generation::Generation;
use super::value::CacheValue;

/// The memory of one entry beside its key and value: counters, places in tables.
const ENTRY_OVERHEAD: usize = 320;
/// Tables are made for as many entries as fit if each weighs this much; smaller ones cause them to grow.
const TYPICAL_WEIGHT: usize = 512;

/// The values in memory.
#[derive(Debug)]
pub(super) struct Memory<V: CacheValue>(Option<Cache<Box<str>, CachedEntry<V>, EntryWeight, RandomState>>);

/// A value with what decides whether it is valid.
#[derive(Debug, Clone)]
pub struct CachedEntry<V> {
    pub(super) generation: Generation,
    pub(super) value: V,
    pub(super) expires_at: Instant,
}

impl<V> CachedEntry<V> {
    /// The value, which was valid when the entry was looked up.
    pub fn value(&self) -> &V {
        &self.value
    }
}

#[derive(Debug, Clone)]
struct EntryWeight;

impl<V: CacheValue> Weighter<Box<str>, CachedEntry<V>> for EntryWeight {
    fn weight(&self, key: &Box<str>, entry: &CachedEntry<V>) -> u64 {
        (ENTRY_OVERHEAD + key.len() + entry.value.size() + entry.value.overhead(key)) as u64
    }
}

impl<V: CacheValue> Memory<V> {
    /// A memory of so many bytes; with 0 it keeps nothing.
    pub(super) fn new(capacity: usize) -> Self {
        let memory = || {
            let (capacity, items) = (capacity as u64, capacity / TYPICAL_WEIGHT);
            Cache::with(items, capacity, EntryWeight, RandomState::default(), DefaultLifecycle::default())
        };
        Self((capacity > 0).then(memory))
    }

    /// Whether it can keep anything.
    pub(super) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// The entry of a key, unless it has expired.
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<CachedEntry<V>> {
        self.0.as_ref()?.get(key).filter(|entry| entry.expires_at > now)
    }

    /// Keeps an entry, unless entries that are used more often need the memory.
    pub(super) fn insert(&self, key: &str, entry: CachedEntry<V>) {
        if let Some(cache) = &self.0 {
            cache.insert(key.into(), entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::fakes::Text;
    use super::*;

    const TTL: Duration = Duration::from_secs(20);

    fn entry(text: &str) -> CachedEntry<Text> {
        let generation = Generation::Private { seed: 1, count: 1 };
        CachedEntry { generation, value: Text::from(text), expires_at: Instant::now() + TTL }
    }

    #[test]
    fn an_entry_expires() {
        let memory = Memory::new(1 << 20);
        memory.insert("a", entry("text"));
        assert_eq!(memory.get("a", Instant::now()).unwrap().value, Text::from("text"));
        assert!(memory.get("a", Instant::now() + TTL).is_none());
        assert!(memory.get("b", Instant::now()).is_none());
    }

    #[test]
    fn memory_is_bounded_and_without_capacity_nothing_is_kept() {
        let (memory, disabled) = (Memory::new(1 << 20), Memory::new(0));
        assert!(memory.is_enabled() && !disabled.is_enabled());
        for number in 0..4096 {
            memory.insert(&number.to_string(), entry(&"x".repeat(1024)));
            disabled.insert(&number.to_string(), entry(&"x".repeat(1024)));
        }
        let kept = (0..4096).filter(|number| memory.get(&number.to_string(), Instant::now()).is_some()).count();
        assert!(kept > 256 && kept * 1024 <= 1 << 20, "{kept}");
        assert!(disabled.get("4095", Instant::now()).is_none());
    }
}
