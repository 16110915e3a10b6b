//! Lists of records, read once for all who ask for one at the same time.
//!
//! Policy: a list in the cache needs nothing else. Any other is read with a slot (`list_slots.rs`): the first read of a key becomes the leader, and the
//! others wait for its result, which costs them no slot. A list that is complete in time and for which there is memory (`list_memory.rs`) is their
//! common result; any other is streamed (`list_stream.rs`), each stream with a slot of its own. All waits until the first byte end at
//! deadlines that count from the arrival of the request. Only a statement that is running may take longer, as long as the database shows that it
//! responds.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::answer::{Answer, CacheStatus, Content, Listing};
use super::error::Error;
use super::list_client::{Deadlines, ListClient};
use super::list_memory::ListMemory;
use super::list_slots::{ListSlot, ListSlots};
use super::list_stream::{CHUNK, RECORD_ROOM, RowStream};
use super::listing::{Cursor, ListQuery};
use super::prepared::{LISTS, PreparedList};
use super::store::{PageSize, Store, WaitLimits};
use super::view::PreparedView;
use crate::cache::{Cache, Lookup, Participant, Scope, SingleFlight};
use crate::peer_counts::PeerCount;
use crate::telemetry::metrics::Metrics;

/// A page ends early past this size, so that no limit of records can exhaust memory.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Without a cache, whose limit would apply, a list up to this size is held whole.
const MAX_BUFFERED_LIST: usize = 1024 * 1024;
/// The memory of lists that are held whole, for each of `max_lists`, beside the memory of the cache.
const MEMORY_PER_SLOT: usize = 256 * 1024;
/// How often a read waits for other readers of its key, who all left before they had a result, before it reads alone.
const MAX_LOST_LEADERS: usize = 3;

/// How many lists are read, and the memory for them.
#[derive(Debug, Clone, Copy)]
pub struct ListLimits {
    /// How many lists one client alone may read at the same time; all together, twice as many.
    pub max_lists: usize,
    /// The memory of the cache in this process, which also holds lists.
    pub cache_memory: usize,
}

/// All lists.
#[derive(Debug)]
pub(super) struct Lists {
    store: Arc<Store>,
    cache: Option<Arc<Cache<Arc<Content>>>>,
    slots: Arc<ListSlots>,
    /// Slots of lists with a limit. These are never streamed, so that slow clients of other lists do not keep them.
    page_slots: Arc<ListSlots>,
    memory: ListMemory,
    single_flight: SingleFlight<LoadResult>,
    metrics: Arc<Metrics>,
}

/// What the leader of a key found.
#[derive(Debug, Clone)]
enum LoadResult {
    Complete(Answer),
    /// It is too large to be held, or takes too long.
    Streamed,
    Failed(Error),
}

/// A list or a view that can be read.
pub(super) trait ListRead: Sync {
    /// The cache key.
    fn key(&self) -> &str;

    /// What the answer depends on.
    fn scopes(&self) -> &[Scope<'static>];

    /// Whether it has a limit, so that it is never streamed.
    fn is_page(&self) -> bool;

    /// Reads it from the database.
    fn load(&self, lists: &Lists, load: ListLoad<'_>) -> impl Future<Output = Result<Listing, Error>> + Send;

    /// Streams it, because another read found that it is large.
    fn stream(&self, lists: &Lists, load: ListLoad<'_>) -> impl Future<Output = Result<Listing, Error>> + Send;
}

/// What a read from the database is given.
pub(super) struct ListLoad<'a> {
    client: &'a ListClient,
    deadlines: &'a Deadlines,
    slot: ListSlot,
    /// What its answer says about the cache.
    cached: CacheStatus,
}

impl Lists {
    pub(super) fn new(
        store: Arc<Store>,
        cache: Option<Arc<Cache<Arc<Content>>>>,
        limits: ListLimits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let largest = cache.as_ref().map_or(0, |cache| cache.max_value()).max(MAX_PAGE_BYTES);
        // Twice the largest one, because one client alone gets half.
        let buffers = (limits.max_lists * MEMORY_PER_SLOT).max(2 * largest);
        Self {
            store,
            cache,
            slots: Arc::new(ListSlots::new(limits.max_lists, &metrics)),
            page_slots: Arc::new(ListSlots::new(limits.max_lists, &metrics)),
            memory: ListMemory::new(limits.cache_memory + buffers),
            single_flight: SingleFlight::default(),
            metrics,
        }
    }

    /// The answer in this process's memory, if there is a valid one.
    pub(super) fn try_cached(&self, list: &impl ListRead, now: Instant) -> Option<Answer> {
        self.cache.as_ref()?.try_cached(list.scopes(), list.key(), now).map(Answer::hit)
    }

    /// A page, or all.
    pub(super) async fn read(&self, list: &impl ListRead, client: &ListClient) -> Result<Listing, Error> {
        match self.lookup(list).await {
            Lookup::Hit(content) => Ok(Listing::Complete(Answer::hit(content))),
            // In a box, so that a hit does not pay for its room.
            miss => {
                let listing = Box::pin(self.read_missing(list, client, miss)).await;
                if matches!(listing, Err(Error::ListsBusy)) {
                    self.metrics.lists_refused.inc();
                }
                listing
            }
        }
    }

    /// Reads a list that the cache did not have at first.
    async fn read_missing(
        &self,
        list: &impl ListRead,
        client: &ListClient,
        mut found: Lookup<Arc<Content>>,
    ) -> Result<Listing, Error> {
        let deadlines = client.deadlines(self.store.request_timeout());
        let mut slot = None;
        for _ in 0..MAX_LOST_LEADERS {
            let token = match found {
                Lookup::Hit(content) => return Ok(Listing::Complete(Answer::hit(content))),
                Lookup::Bypass => break,
                Lookup::Miss(token) => token,
            };
            match self.single_flight.join(&token) {
                Participant::Leader(leader) => {
                    if let Some(slot) = slot.take().or_else(|| self.slots(list).try_acquire(client)) {
                        let load = ListLoad { client, deadlines: &deadlines, slot, cached: CacheStatus::Miss };
                        let listing = list.load(self, load).await;
                        if let (Ok(Listing::Complete(answer)), Some(cache)) = (&listing, &self.cache) {
                            // Before the load ends for its followers, so that a read which comes too late to follow finds the answer.
                            cache.store(token, &answer.content);
                        }
                        leader.complete(&LoadResult::of(&listing));
                        return listing;
                    }
                    // A read without a slot must not make others wait for it.
                    drop(leader);
                    slot = Some(self.slot(list, client, &deadlines).await?);
                }
                Participant::Follower(result) => {
                    slot = None;
                    match result.await {
                        Ok(LoadResult::Complete(answer)) => return Ok(Listing::Complete(answer)),
                        // The leader's client has its share of the memory; this one may have less.
                        Ok(LoadResult::Failed(Error::ListsBusy)) | Err(_) => {}
                        Ok(LoadResult::Failed(error)) => return Err(error),
                        Ok(LoadResult::Streamed) => {
                            let slot = self.slot(list, client, &deadlines).await?;
                            let load = ListLoad { client, deadlines: &deadlines, slot, cached: CacheStatus::Bypass };
                            return list.stream(self, load).await;
                        }
                    }
                }
            }
            // While this read waited, another one may have stored the answer.
            found = self.lookup(list).await;
        }
        let slot = match slot {
            Some(slot) => slot,
            None => self.slot(list, client, &deadlines).await?,
        };
        list.load(self, ListLoad { client, deadlines: &deadlines, slot, cached: CacheStatus::Bypass }).await
    }

    fn slots(&self, list: &impl ListRead) -> &Arc<ListSlots> {
        if list.is_page() { &self.page_slots } else { &self.slots }
    }

    /// Waits for a slot.
    async fn slot(&self, list: &impl ListRead, client: &ListClient, deadlines: &Deadlines) -> Result<ListSlot, Error> {
        self.slots(list).acquire(client, deadlines.slot).await.ok_or(Error::ListsBusy)
    }

    async fn load_page(&self, query: &ListQuery, limit: usize, load: ListLoad<'_>) -> Result<Listing, Error> {
        let mut body = vec![b'['];
        let size = PageSize { rows: limit, bytes: MAX_PAGE_BYTES };
        let page = self.store.page(query, query.after.as_ref(), size, load.deadlines.into(), &mut body).await?;
        body.extend_from_slice(b"]\n");
        let next = if page.complete { None } else { page.last.as_ref().map(Cursor::encode) };
        self.complete_page(body, next, &load)
    }

    /// A page, if there is memory for it.
    fn complete_page(&self, body: Vec<u8>, next: Option<String>, load: &ListLoad<'_>) -> Result<Listing, Error> {
        let mut memory = None;
        if !self.memory.cover(load.client, &mut memory, body.len()) {
            return Err(Error::ListsBusy);
        }
        Ok(Listing::Complete(loaded(body, next, load.cached, memory)))
    }

    /// Holds the list whole if there is time and memory for it, otherwise streams it.
    async fn load_all(&self, query: &ListQuery, load: ListLoad<'_>) -> Result<Listing, Error> {
        let ListLoad { client, deadlines, slot, cached } = load;
        let max_buffered = self.cache.as_ref().map_or(MAX_BUFFERED_LIST, |cache| cache.max_value());
        let mut body = vec![b'['];
        let mut memory = None;
        let mut last = query.after.clone();
        let mut limits = WaitLimits::from(deadlines);
        loop {
            let begun = body.len();
            let size = PageSize { rows: CHUNK.rows, bytes: begun + CHUNK.bytes };
            let page = match self.store.page(query, last.as_ref(), size, limits, &mut body).await {
                Err(Error::ListsBusy) if begun > 1 => {
                    // What has been read is sent at once; the rest is read when it is its turn.
                    body.truncate(begun);
                    let first = with_memory(body, memory);
                    return Ok(Listing::Stream(RowStream::start(&self.store, query, first, Some(last), slot)));
                }
                page => page?,
            };
            last = page.last;
            limits.connection = deadlines.slot;
            if page.complete {
                body.extend_from_slice(b"]\n");
                return Ok(if self.memory.cover(client, &mut memory, body.len()) {
                    Listing::Complete(loaded(body, None, cached, memory))
                } else {
                    Listing::Stream(RowStream::start(&self.store, query, with_memory(body, memory), None, slot))
                });
            }
            let is_buffered = body.len() < max_buffered
                && tokio::time::Instant::now() < deadlines.slot
                && self.memory.cover(client, &mut memory, body.len() + CHUNK.bytes);
            if !is_buffered {
                let first = with_memory(body, memory);
                return Ok(Listing::Stream(RowStream::start(&self.store, query, first, Some(last), slot)));
            }
            body.reserve_exact(CHUNK.bytes + RECORD_ROOM);
        }
    }

    /// Streams a list of which another read found that it is large.
    async fn stream_all(&self, query: &ListQuery, load: ListLoad<'_>) -> Result<Listing, Error> {
        let mut body = vec![b'['];
        let page = self.store.page(query, query.after.as_ref(), CHUNK, load.deadlines.into(), &mut body).await?;
        if page.complete {
            body.extend_from_slice(b"]\n");
        }
        let rest = (!page.complete).then_some(page.last);
        Ok(Listing::Stream(RowStream::start(&self.store, query, with_memory(body, None), rest, load.slot)))
    }

    async fn lookup(&self, list: &impl ListRead) -> Lookup<Arc<Content>> {
        match &self.cache {
            Some(cache) => cache.lookup(list.scopes(), list.key()).await,
            None => Lookup::Bypass,
        }
    }
}

impl ListRead for PreparedList {
    fn key(&self) -> &str {
        &self.key
    }

    fn scopes(&self) -> &[Scope<'static>] {
        &[LISTS]
    }

    fn is_page(&self) -> bool {
        self.query.limit.is_some()
    }

    async fn load(&self, lists: &Lists, load: ListLoad<'_>) -> Result<Listing, Error> {
        match self.query.limit {
            Some(limit) => lists.load_page(&self.query, limit as usize, load).await,
            None => lists.load_all(&self.query, load).await,
        }
    }

    async fn stream(&self, lists: &Lists, load: ListLoad<'_>) -> Result<Listing, Error> {
        lists.stream_all(&self.query, load).await
    }
}

impl ListRead for PreparedView {
    fn key(&self) -> &str {
        &self.key
    }

    fn scopes(&self) -> &[Scope<'static>] {
        self.query.scopes()
    }

    fn is_page(&self) -> bool {
        true
    }

    /// The slot is held until the page has been read.
    async fn load(&self, lists: &Lists, load: ListLoad<'_>) -> Result<Listing, Error> {
        let page = lists.store.view(self, load.deadlines.into()).await?;
        lists.complete_page(page.body, page.next, &load)
    }

    /// A page is never large.
    async fn stream(&self, lists: &Lists, load: ListLoad<'_>) -> Result<Listing, Error> {
        self.load(lists, load).await
    }
}

impl LoadResult {
    fn of(listing: &Result<Listing, Error>) -> Self {
        match listing {
            Ok(Listing::Complete(answer)) => Self::Complete(answer.clone()),
            Ok(Listing::Stream(_)) => Self::Streamed,
            Err(error) => Self::Failed(error.clone()),
        }
    }
}

impl From<&Deadlines> for WaitLimits {
    fn from(deadlines: &Deadlines) -> Self {
        Self { connection: deadlines.connection, database: Some(deadlines.database) }
    }
}

fn loaded(mut body: Vec<u8>, next_cursor: Option<String>, cached: CacheStatus, memory: Option<PeerCount>) -> Answer {
    if memory.is_some() {
        body.shrink_to_fit();
    }
    Answer { content: Arc::new(Content::list(body, next_cursor, memory)), cached }
}

/// The beginning of a stream. Its memory is counted until it has been sent.
fn with_memory(mut body: Vec<u8>, memory: Option<PeerCount>) -> Bytes {
    body.shrink_to_fit();
    match memory {
        Some(memory) => Bytes::from_owner(CountedBytes { body, _memory: memory }),
        None => body.into(),
    }
}

struct CountedBytes {
    body: Vec<u8>,
    _memory: PeerCount,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
