//! Answers kept: in this process, and in Redis behind it.
//!
//! Policy: a stored answer carries the generation it was read under and is valid only while that generation is
//! current; a create ends the generations it touches after its commit and before it is acknowledged. So a
//! reader that loaded the old row can store it whenever it likes: nobody will believe it. A read asks this process's
//! memory (`local.rs`), then Redis, then PostgreSQL. A cache that is down, slow or answers nonsense is a miss, never
//! an error, and no read waits for its answer to be stored (`backlog.rs`).
//!
//! Who knows which generation is current depends on who else uses the Redis:
//!
//! - Nobody (it is managed, its keys are this process's secret): this process counts (`generation.rs`). Nothing that
//!   happens to Redis can make an answer valid, a create does not talk to it, and a hit in memory needs nobody.
//! - Others (external): the generations are in Redis, replaced by whoever creates, and every read asks for them after it
//!   began, many reads together (`validator.rs`). What Redis could not be told is read from PostgreSQL until it has
//!   been told (`untold.rs`). A generation has two parts: the scope's own, and the epoch, which all scopes share and
//!   every new connection replaces. A Redis that restarts from an older snapshot, or is replaced by a replica that
//!   lags behind, would otherwise bring back generations, and answers under them, that a create had already replaced.
//!
//! A create without an answer from the database may still be committed later. It is not acknowledged, so nothing is
//! promised; yet its generations are ended when it is given up, and then again and again for as long as an answer may live.
//!
//! An answer's time to live counts from before PostgreSQL was asked, also where it goes from Redis into memory. Instances
//! whose clocks differ may double it there.

mod background;
mod codec;
mod connection;
mod generation;
mod generation_fetcher;
mod memory;
mod pending_invalidations;
mod write_queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus::Histogram;
use redis::{FromRedisValue, Pipeline};
use tokio::task::JoinHandle;

use super::answer::{Answer, CacheStatus};
use crate::telemetry::metrics::Metrics;
use connection::{Fault, Link};
use generation::Counters;
use generation_fetcher::Validator;
use memory::{Entry, Local};
use pending_invalidations::{SLOWEST_READER, Untold};
use write_queue::{Backlog, Job};

pub(super) use generation::{Generation, Scope};

/// A create waits this long for Redis to take its new generations; a read has its own, shorter time.
const TELLING: Duration = Duration::from_millis(500);
/// A generation outlives the answers stored under it by this factor.
const GENERATION_LIFE: u32 = 3;
/// The epoch lives this long; when it is gone, the next read begins another one.
const EPOCH_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Longer keys come from rows that others wrote; they are not worth the memory.
const LONGEST_KEY: usize = 1024;

/// How the cache behaves.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Begins every key.
    pub prefix: String,
    /// No other process uses keys that begin so.
    pub private: bool,
    /// A read waits this long.
    pub timeout: Duration,
    /// A stored answer lives this long.
    pub ttl: Duration,
    /// Larger answers are not stored, in bytes.
    pub max_value: usize,
    /// Memory for answers in this process, in bytes; 0 for none.
    pub local_memory: usize,
}

/// The answers kept.
#[derive(Debug)]
pub struct Cache {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    options: CacheOptions,
    local: Local,
    generations: Generations,
    link: Link,
    untold: Untold,
    tokens: Tokens,
    backlog: Backlog,
    clock: Clock,
    metrics: Arc<Metrics>,
    get: Histogram,
    set: Histogram,
}

/// Who knows which generation is current.
#[derive(Debug)]
enum Generations {
    /// This process.
    Private(Counters),
    /// Redis.
    Shared(Arc<Validator>),
}

/// What a read found.
#[derive(Debug)]
pub(super) enum Lookup {
    /// A valid answer.
    Hit(Answer),
    /// None; one read from PostgreSQL from now on may be stored with this ticket.
    Miss(FillToken),
    /// The cache cannot be used for this read.
    Bypass,
}

/// The right to store an answer that is read after it was given.
#[derive(Debug)]
pub(super) struct FillToken {
    pub(super) key: String,
    pub(super) generation: Generation,
    /// Before the generation was asked for.
    asked: Instant,
}

impl Cache {
    /// A cache over a Redis that may come up later. `seed` makes this process's generations differ from all others'.
    pub fn new(options: CacheOptions, client: redis::Client, seed: u64, metrics: Arc<Metrics>) -> Self {
        let timing = |operation| metrics.cache_duration.with_label_values(&[operation]);
        let (get, set) = (timing("get"), timing("set"));
        let shared = Arc::new(Shared {
            local: Local::new(options.local_memory),
            generations: match options.private {
                true => Generations::Private(Counters::new()),
                false => Generations::Shared(Arc::default()),
            },
            link: Link::new(client),
            untold: Untold::new(options.ttl + options.timeout),
            tokens: Tokens { seed, next: AtomicU64::new(0) },
            backlog: Backlog::new(),
            clock: Clock::new(),
            options,
            metrics,
            get,
            set,
        });
        let tasks = background::start(&shared);
        Self { shared, tasks }
    }

    /// The largest answer that is stored, in bytes.
    pub(super) fn max_value(&self) -> usize {
        self.shared.options.max_value
    }

    /// Whether [`Cache::try_cached`] can succeed.
    pub(super) fn has_memory(&self) -> bool {
        self.shared.options.local_memory > 0 && matches!(self.shared.generations, Generations::Private(_))
    }

    /// A valid answer that this process has and may use without asking anybody.
    pub(super) fn try_cached(&self, scope: Scope<'_>, key: &str, now: Instant) -> Option<Answer> {
        let Generations::Private(counters) = &self.shared.generations else { return None };
        let generation = counters.current(scope);
        let entry = self.shared.local.get(key, now)?;
        (entry.generation == generation).then(|| self.shared.found_here(entry))
    }

    /// Looks an answer up. The key must include everything the answer depends on.
    pub(super) async fn lookup(&self, scope: Scope<'_>, key: &str) -> Lookup {
        let shared = &*self.shared;
        if key.len() > LONGEST_KEY {
            return Lookup::Bypass;
        }
        let asked = Instant::now();
        match &shared.generations {
            Generations::Private(counters) => {
                let generation = counters.current(scope);
                match shared.local.get(key, asked) {
                    Some(entry) if entry.generation == generation => Lookup::Hit(shared.found_here(entry)),
                    // In a box, here and below, so that a hit does not pay for its room.
                    _ => Box::pin(shared.ask_own(key, generation, asked)).await,
                }
            }
            Generations::Shared(_) if shared.untold.concerns(scope) => Lookup::Bypass,
            Generations::Shared(validator) => {
                let generation_key = shared.generation_key(scope);
                if let Some(entry) = shared.local.get(key, asked)
                    && let Some(current) = validator.current(generation_key.clone(), shared.options.timeout).await
                    && entry.generation == current
                {
                    return Lookup::Hit(shared.found_here(entry));
                }
                Box::pin(shared.ask_common(key, &generation_key, asked)).await
            }
        }
    }

    /// Stores an answer that was read after the ticket was given. One that took long to read is not stored: a change
    /// that Redis was not told of may have been forgotten by now (`untold.rs`).
    pub(super) fn store(&self, ticket: FillToken, answer: &Answer) {
        let shared = &*self.shared;
        let FillToken { key, generation, asked } = ticket;
        if answer.content.body.len() > shared.options.max_value || asked.elapsed() >= SLOWEST_READER {
            return;
        }
        let answer = Answer { content: Arc::clone(&answer.content), cached: CacheStatus::Hit };
        let until = asked + shared.options.ttl;
        shared.local.put(&key, Entry { generation: generation.clone(), answer: answer.clone(), until });
        if shared.link.is_up() {
            shared.backlog.push(Job { key, generation, answer, asked });
        }
    }

    /// Makes everything stored about the employee, and every list, invalid. To be called before a create is acknowledged;
    /// from here on no read of this instance trusts a shared Redis about the employee until it has been told.
    pub(super) async fn changed(&self, id: &str) {
        match &self.shared.generations {
            Generations::Private(counters) => counters.changed(id),
            Generations::Shared(_) => {
                let mark = self.shared.untold.note(id);
                self.shared.tell(&[(id.to_owned(), mark)]).await;
            }
        }
    }

    /// The same for a change that may not have happened, or not yet, and is not acknowledged: a shared Redis is told later.
    pub(super) fn suspected(&self, id: &str) {
        if let Generations::Private(counters) = &self.shared.generations {
            counters.changed(id);
        }
        // From here the keeper takes it.
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

impl Drop for Cache {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
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

    /// A valid answer of this process.
    fn found_here(&self, entry: Entry) -> Answer {
        self.metrics.cache_hits.inc();
        self.metrics.cache_local_hits.inc();
        entry.answer
    }

    /// A valid answer of Redis; this process keeps it for the rest of its time.
    fn found(&self, key: &str, generation: Generation, stored: codec::Stored, asked: Instant) -> Lookup {
        self.metrics.cache_hits.inc();
        let age = self.clock.millis(asked).checked_sub(stored.read_at).map(Duration::from_millis);
        // One from the future has another clock.
        if let Some(left) = age.and_then(|age| self.options.ttl.checked_sub(age)) {
            self.local.put(key, Entry { generation, answer: stored.answer.clone(), until: asked + left });
        }
        Lookup::Hit(stored.answer)
    }

    /// Asks a Redis that only this process uses.
    async fn ask_own(&self, key: &str, generation: Generation, asked: Instant) -> Lookup {
        let mut pipeline = redis::pipe();
        pipeline.get(self.full_key(key));
        let answer = self.ask::<(Option<Vec<u8>>,)>(&pipeline, self.options.timeout, &self.get).await;
        if let Some((Some(value),)) = answer
            && let Some(stored) = codec::decode(value, &self.text(&generation))
        {
            return self.found(key, generation, stored, asked);
        }
        self.metrics.cache_misses.inc();
        Lookup::Miss(FillToken { key: key.to_owned(), generation, asked })
    }

    /// Asks a Redis that others use: the generation and the answer in one round trip.
    async fn ask_common(&self, key: &str, generation_key: &str, asked: Instant) -> Lookup {
        let mut pipeline = redis::pipe();
        pipeline.get(self.epoch_key()).get(generation_key).get(self.full_key(key));
        let bound = self.options.timeout;
        let Some((epoch, own, value)) =
            self.ask::<(Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>)>(&pipeline, bound, &self.get).await
        else {
            return Lookup::Bypass;
        };
        let (epoch, own) = (text(epoch), text(own));
        if let (Some(epoch), Some(own), Some(value)) = (&epoch, &own, value) {
            let generation = common(epoch, own);
            if let Some(stored) = codec::decode(value, &self.text(&generation)) {
                return self.found(key, generation, stored, asked);
            }
        }
        self.metrics.cache_misses.inc();
        match self.begin(epoch, generation_key, own).await {
            Some(generation) => Lookup::Miss(FillToken { key: key.to_owned(), generation, asked }),
            None => Lookup::Bypass,
        }
    }

    /// The generation of a scope, its missing parts made before PostgreSQL is read.
    async fn begin(&self, epoch: Option<String>, generation_key: &str, own: Option<String>) -> Option<Generation> {
        if let (Some(epoch), Some(own)) = (&epoch, &own) {
            return Some(common(epoch, own));
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
        Some(common(&epoch, &own))
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

    /// Stores what has waited for it, unless it has waited too long (see [`Cache::store`]).
    async fn write(&self, jobs: Vec<Job>) {
        let mut pipeline = redis::pipe();
        for Job { key, generation, answer, asked } in &jobs {
            if asked.elapsed() < SLOWEST_READER {
                let value = codec::encode(&self.text(generation), self.clock.millis(*asked), &answer.content);
                set(&mut pipeline, &self.full_key(key), &value, self.options.ttl);
            }
        }
        if !pipeline.is_empty() {
            self.ask::<()>(&pipeline, self.options.timeout, &self.set).await;
        }
    }

    /// Asks which generations are current, for all reads of a round.
    async fn validate(&self, round: generation_fetcher::Round) {
        let mut pipeline = redis::pipe();
        // One that is no text is nothing here, where GET would fail for all.
        pipeline.cmd("MGET").arg(self.epoch_key());
        round.keys().for_each(|key| {
            pipeline.arg(key);
        });
        let answer = self.ask::<(Vec<Option<Vec<u8>>>,)>(&pipeline, self.options.timeout, &self.get).await;
        let mut values = answer.unwrap_or_default().0.into_iter();
        let epoch = values.next().and_then(text);
        round.tell(values.map(|own| Some(common(epoch.as_deref()?, &text(own)?))));
    }

    fn full_key(&self, key: &str) -> String {
        [&self.options.prefix, key].concat()
    }

    /// A generation as it is stored with an answer.
    fn text(&self, generation: &Generation) -> Arc<str> {
        match generation {
            Generation::Private(number) => format!("{:016x}.{number}", self.tokens.seed).into(),
            Generation::Shared(text) => Arc::clone(text),
        }
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

/// The milliseconds since 1970, which never go back in a process.
#[derive(Debug)]
struct Clock {
    start: Instant,
    millis: u64,
}

impl Clock {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), millis: u64::try_from(since.as_millis()).unwrap_or_default() }
    }

    fn millis(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.start);
        self.millis.saturating_add(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Both parts of a generation as one text, which begins what is stored.
fn common(epoch: &str, own: &str) -> Generation {
    Generation::Shared([epoch, ".", own].concat().into())
}

fn set(pipeline: &mut Pipeline, key: &str, value: &[u8], life: Duration) {
    let millis = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    pipeline.cmd("SET").arg(key).arg(value).arg("PX").arg(millis).ignore();
}
