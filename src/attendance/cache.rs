//! Answers kept in Redis.
//!
//! Policy: a stored answer carries the generation it was read under and is valid only while that generation is
//! current; a create replaces the generations it touches after its commit and before it is acknowledged. So a
//! reader that loaded the old row can store it whenever it likes: nobody will believe it. Only GET and SET are
//! needed, which the built-in server has. A cache that is down, slow or answers nonsense is a miss, never an error.
//! What Redis could not be told is read from PostgreSQL until it has been told (`untold.rs`).
//!
//! A generation has two parts: the scope's own, and the epoch, which all scopes share and every new connection replaces.
//! A Redis that restarts from an older snapshot, or is replaced by a replica that lags behind, would otherwise bring
//! back generations, and answers under them, that a create had already replaced.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prometheus::Histogram;
use redis::{FromRedisValue, Pipeline};

use super::answer::{Answer, Cached};
use super::link::{Fault, Link};
use super::untold::{SLOWEST_READER, Untold};
use crate::telemetry::metrics::Metrics;

/// A create waits this long for Redis to take its new generations; a read has its own, shorter time.
const TELLING: Duration = Duration::from_millis(500);
/// A generation outlives the answers stored under it by this factor.
const GENERATION_LIFE: u32 = 3;
/// The epoch lives this long; when it is gone, the next read begins another one.
const EPOCH_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Longer keys come from rows that others wrote; they are not worth the memory.
const LONGEST_KEY: usize = 1024;
/// The keeper looks after a missing connection, and after what Redis was not told, this often.
const KEEPING: Duration = Duration::from_millis(250);
/// The keeper tells Redis this many changes in one round trip.
const TOLD_AT_ONCE: usize = 500;

/// How the cache behaves.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Begins every key.
    pub prefix: String,
    /// A read waits this long.
    pub timeout: Duration,
    /// A stored answer lives this long.
    pub ttl: Duration,
    /// Larger answers are not stored, in bytes.
    pub max_value: usize,
}

/// The answers kept in Redis.
#[derive(Debug)]
pub struct Cache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: CacheOptions,
    link: Link,
    untold: Untold,
    tokens: Tokens,
    metrics: Arc<Metrics>,
    get: Histogram,
    set: Histogram,
}

/// What a read found.
#[derive(Debug)]
pub(super) enum Lookup {
    /// A valid answer.
    Hit(Answer),
    /// None; one read from PostgreSQL from now on may be stored with this ticket.
    Miss(Ticket),
    /// The cache cannot be used for this read.
    Bypass,
}

/// The right to store an answer that is read after it was given.
#[derive(Debug)]
pub(super) struct Ticket {
    key: String,
    generation: String,
    /// Before the generation was asked for.
    asked: Instant,
}

/// Whose change makes an answer invalid.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    /// One employee's.
    Employee(&'a str),
    /// Anybody's.
    All,
}

impl Cache {
    /// A cache over a Redis that may come up later. `seed` makes this process's generations differ from all others'.
    pub fn new(options: CacheOptions, client: redis::Client, seed: u64, metrics: Arc<Metrics>) -> Self {
        let timing = |operation| metrics.cache_duration.with_label_values(&[operation]);
        let (get, set) = (timing("get"), timing("set"));
        let untold = Untold::new(options.ttl + options.timeout);
        let tokens = Tokens { seed, next: AtomicU64::new(0) };
        let shared = Arc::new(Shared { options, link: Link::new(client), untold, tokens, metrics, get, set });
        tokio::spawn(keep(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// The largest answer that is stored, in bytes.
    pub(super) fn max_value(&self) -> usize {
        self.shared.options.max_value
    }

    /// Looks an answer up. The key must include everything the answer depends on.
    pub(super) async fn lookup(&self, scope: Scope<'_>, key: &str) -> Lookup {
        let shared = &*self.shared;
        if key.len() > LONGEST_KEY || shared.untold.concerns(scope) {
            return Lookup::Bypass;
        }
        let asked = Instant::now();
        let generation_key = shared.generation_key(scope);
        let key = format!("{}{key}", shared.options.prefix);
        let mut pipeline = redis::pipe();
        pipeline.get(shared.epoch_key()).get(&generation_key).get(&key);
        let bound = shared.options.timeout;
        let Some((epoch, own, stored)) =
            shared.ask::<(Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>)>(&pipeline, bound, &shared.get).await
        else {
            return Lookup::Bypass;
        };
        let text = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let (epoch, own) = (text(epoch), text(own));
        if let (Some(epoch), Some(own), Some(stored)) = (&epoch, &own, stored)
            && let Some(answer) = decode(stored, &generation(epoch, own))
        {
            shared.metrics.cache_hits.inc();
            return Lookup::Hit(answer);
        }
        shared.metrics.cache_misses.inc();
        match shared.begin(epoch, &generation_key, own).await {
            Some(generation) => Lookup::Miss(Ticket { key, generation, asked }),
            None => Lookup::Bypass,
        }
    }

    /// Stores an answer that was read after the ticket was given. One that took long to read is not stored: a change
    /// that Redis was not told of may have been forgotten by now (`untold.rs`).
    pub(super) async fn store(&self, ticket: Ticket, answer: &Answer) {
        let shared = &*self.shared;
        if answer.body.len() <= shared.options.max_value && ticket.asked.elapsed() < SLOWEST_READER {
            let mut pipeline = redis::pipe();
            set(&mut pipeline, &ticket.key, &encode(&ticket.generation, answer), shared.options.ttl);
            shared.ask::<()>(&pipeline, shared.options.timeout, &shared.set).await;
        }
    }

    /// Makes everything stored about the employee, and every list, invalid. To be called before a create is acknowledged;
    /// from here on no read of this instance trusts Redis about the employee until Redis has been told.
    pub(super) async fn changed(&self, id: &str) {
        let mark = self.shared.untold.note(id);
        self.shared.tell(&[(id.to_owned(), mark)]).await;
    }

    /// The same for a change that may not have happened and is not acknowledged: Redis is told later.
    pub(super) fn suspected(&self, id: &str) {
        self.shared.untold.note(id);
    }

    /// Whether Redis answers, or why not.
    pub async fn ping(&self) -> Result<(), String> {
        let mut pipeline = redis::pipe();
        pipeline.get(format!("{}probe", self.shared.options.prefix));
        let answer = self.shared.link.ask::<(Option<Vec<u8>>,)>(&pipeline, TELLING).await;
        answer.map(drop).map_err(|fault| fault.to_string())
    }
}

impl Shared {
    /// Runs a pipeline; whatever goes wrong is counted and is nothing to the caller but the lack of an answer.
    async fn ask<T: FromRedisValue>(&self, pipeline: &Pipeline, bound: Duration, timing: &Histogram) -> Option<T> {
        let started = Instant::now();
        let outcome = self.link.ask(pipeline, bound).await;
        match &outcome {
            Err(Fault::Down(_)) => return None,
            Err(fault) => {
                self.metrics.cache_errors.inc();
                tracing::debug!(%fault, "a cache command failed");
            }
            Ok(_) => {}
        }
        timing.observe(started.elapsed().as_secs_f64());
        outcome.ok()
    }

    /// The generation of a scope, its missing parts made before PostgreSQL is read.
    async fn begin(&self, epoch: Option<String>, generation_key: &str, own: Option<String>) -> Option<String> {
        if let (Some(epoch), Some(own)) = (&epoch, &own) {
            return Some(generation(epoch, own));
        }
        let mut pipeline = redis::pipe();
        let mut made = |key: &str, life| {
            let token = self.tokens.next();
            set(&mut pipeline, key, token.as_bytes(), life);
            token
        };
        let epoch = epoch.unwrap_or_else(|| made(&self.epoch_key(), EPOCH_LIFE));
        let own = own.unwrap_or_else(|| made(generation_key, self.generation_life()));
        self.ask::<()>(&pipeline, self.options.timeout, &self.set).await?;
        Some(generation(&epoch, &own))
    }

    /// What a new connection says first: nothing that was stored before it is valid.
    fn greeting(&self) -> Pipeline {
        let mut pipeline = redis::pipe();
        set(&mut pipeline, &self.epoch_key(), self.tokens.next().as_bytes(), EPOCH_LIFE);
        pipeline
    }

    /// Replaces the generations of changed employees and of all lists.
    async fn tell(&self, changes: &[(String, Instant)]) -> bool {
        let life = self.generation_life();
        let mut pipeline = redis::pipe();
        for scope in changes.iter().map(|(id, _)| Scope::Employee(id)).chain([Scope::All]) {
            set(&mut pipeline, &self.generation_key(scope), self.tokens.next().as_bytes(), life);
        }
        let told = self.ask::<()>(&pipeline, TELLING, &self.set).await.is_some();
        if told {
            changes.iter().for_each(|(id, mark)| self.untold.told(id, *mark));
        }
        told
    }

    fn generation_key(&self, scope: Scope<'_>) -> String {
        match scope {
            Scope::Employee(id) => format!("{}g:e:{id}", self.options.prefix),
            Scope::All => format!("{}g:a", self.options.prefix),
        }
    }

    fn epoch_key(&self) -> String {
        format!("{}epoch", self.options.prefix)
    }

    fn generation_life(&self) -> Duration {
        self.options.ttl * GENERATION_LIFE
    }
}

/// Values that no other process makes and this one makes once.
#[derive(Debug)]
struct Tokens {
    seed: u64,
    next: AtomicU64,
}

impl Tokens {
    fn next(&self) -> String {
        format!("{:016x}{:016x}", self.seed, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Makes connections as long as there is a cache, and tells Redis what it could not be told.
async fn keep(cache: Weak<Shared>) {
    let mut number = 0;
    let mut connected = false;
    while let Some(shared) = cache.upgrade() {
        if !connected {
            number += 1;
            match shared.link.connect(number, &shared.greeting(), shared.options.timeout).await {
                Ok(()) => {
                    tracing::info!("the cache is connected");
                    connected = true;
                }
                Err(reason) => tracing::debug!(reason, "the cache is not reachable"),
            }
        }
        if connected {
            for changes in shared.untold.pending().chunks(TOLD_AT_ONCE) {
                if !shared.tell(changes).await {
                    break;
                }
            }
        }
        tokio::select! {
            () = shared.link.broken() => {
                tracing::warn!("the cache connection was lost; reads go to PostgreSQL until it is back");
                connected = false;
            }
            () = tokio::time::sleep(KEEPING) => {}
        }
    }
}

/// Both parts as one text, which begins what is stored.
fn generation(epoch: &str, own: &str) -> String {
    format!("{epoch}.{own}")
}

fn set(pipeline: &mut Pipeline, key: &str, value: &[u8], life: Duration) {
    let millis = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    pipeline.cmd("SET").arg(key).arg(value).arg("PX").arg(millis).ignore();
}

/// `generation`, entity tag and next cursor, a line each, then the body.
fn encode(generation: &str, answer: &Answer) -> Vec<u8> {
    let mut head = String::with_capacity(128);
    // Writing to a String cannot fail.
    let _ = write!(head, "{generation}\n{}\n{}\n", answer.etag, answer.next.as_deref().unwrap_or_default());
    let mut value = head.into_bytes();
    value.extend_from_slice(&answer.body);
    value
}

/// The answer, if it is one and of this generation.
fn decode(stored: Vec<u8>, generation: &str) -> Option<Answer> {
    let rest = stored.strip_prefix(generation.as_bytes())?.strip_prefix(b"\n")?;
    let etag_end = rest.iter().position(|byte| *byte == b'\n')?;
    let next_end = etag_end + 1 + rest[etag_end + 1..].iter().position(|byte| *byte == b'\n')?;
    let etag = std::str::from_utf8(&rest[..etag_end]).ok().filter(|tag| tag.len() == 32)?.to_owned();
    let next = std::str::from_utf8(&rest[etag_end + 1..next_end]).ok()?;
    let next = (!next.is_empty()).then(|| next.to_owned());
    let body_start = generation.len() + 1 + next_end + 1;
    let body = Bytes::from(stored).slice(body_start..);
    body.ends_with(b"\n").then_some(Answer { body, etag, next, cached: Cached::Hit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_round_and_only_under_its_generation() {
        for next in [None, Some("abc".to_owned())] {
            let answer = Answer::fresh(Bytes::from_static(b"[]\n"), next.clone(), Cached::Miss);
            let stored = encode("g1", &answer);
            let back = decode(stored.clone(), "g1").unwrap();
            assert_eq!((back.body, back.etag, back.next, back.cached), (answer.body, answer.etag, next, Cached::Hit));
            assert!(decode(stored, "g2").is_none());
        }
    }

    #[test]
    fn garbage_is_no_answer() {
        for garbage in
            ["", "g1", "g1\n", "g1\nx\n\n{}\n", "g1\n\n\n", "\u{0}\u{0}", "g1\n0123456789abcdef0123456789abcdef\n\n"]
        {
            assert!(decode(garbage.as_bytes().to_vec(), "g1").is_none(), "{garbage:?}");
        }
    }
}
