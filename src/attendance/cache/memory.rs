//! Answers kept in this process, in front of Redis.
//!
//! Policy: ready to be sent, bounded in bytes, no older than what Redis may hold. Whether one is valid is not decided
//! here: it carries the generation it was read under, and who asks knows the current one.

use std::time::Instant;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::generation::Generation;
use crate::attendance::answer::Answer;

/// What an entry costs beside its key and its body: entity tag, counters, places in tables.
const OVERHEAD: usize = 320;
/// Entries that are expected at the least fill this share of the memory.
const TYPICAL: usize = 512;

/// The answers.
#[derive(Debug)]
pub(super) struct Local(Option<Cache<Box<str>, Entry, Bytes>>);

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) generation: Generation,
    pub(super) answer: Answer,
    /// When its time to live ends.
    pub(super) until: Instant,
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Box<str>, Entry> for Bytes {
    fn weight(&self, key: &Box<str>, entry: &Entry) -> u64 {
        let content = &entry.answer.content;
        // A page is kept with the header that leads to the next one, which holds its cursor once more.
        let next = content.next.as_ref().map_or(0, |next| 2 * next.cursor().len() + key.len());
        (OVERHEAD + key.len() + content.body.len() + next) as u64
    }
}

impl Local {
    /// With room for so many bytes; 0 keeps nothing.
    pub(super) fn new(bytes: usize) -> Self {
        Self((bytes > 0).then(|| Cache::with_weighter(bytes / TYPICAL, bytes as u64, Bytes)))
    }

    /// What is kept under a key, if its time has not ended.
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<Entry> {
        self.0.as_ref()?.get(key).filter(|entry| entry.until > now)
    }

    /// Keeps an answer, or not: what is used more often goes first.
    pub(super) fn put(&self, key: &str, entry: Entry) {
        if let Some(cache) = &self.0 {
            cache.insert(key.into(), entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::attendance::answer::CacheStatus;

    fn entry(body: Vec<u8>, life: Duration) -> Entry {
        let answer = Answer::fresh(body.into(), None, CacheStatus::Hit);
        Entry { generation: Generation::Private(1), answer, until: Instant::now() + life }
    }

    #[test]
    fn an_entry_ends_with_its_time() {
        let local = Local::new(1 << 20);
        local.put("a", entry(b"[]\n".to_vec(), Duration::from_secs(20)));
        let found = local.get("a", Instant::now()).unwrap();
        assert_eq!(&*found.answer.content.body, b"[]\n");
        assert!(local.get("a", Instant::now() + Duration::from_secs(21)).is_none());
        assert!(local.get("b", Instant::now()).is_none());
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_kept_without_any() {
        let (local, none) = (Local::new(1 << 20), Local::new(0));
        for number in 0..4096 {
            local.put(&number.to_string(), entry(vec![b'x'; 1024], Duration::from_secs(20)));
            none.put(&number.to_string(), entry(vec![b'x'; 1024], Duration::from_secs(20)));
        }
        let kept = (0..4096).filter(|number| local.get(&number.to_string(), Instant::now()).is_some()).count();
        assert!(kept > 256 && kept * 1024 <= 1 << 20, "{kept}");
        assert!(none.get("4095", Instant::now()).is_none());
    }
}
