//! What can be done with attendance records.
//!
//! Policy: a create is acknowledged after its commit and after the cache has been invalidated; a read tries the cache first. A read
//! that starts after a create was acknowledged sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::answer::{Answer, CacheStatus, Content, Listing, RowStream};
use super::date::Date;
use super::error::{Error, UnavailableError};
use super::listing::{Cursor, ListQuery};
use super::prepared::{LISTS, PreparedFind, PreparedList, employee};
use super::record::NewRecord;
use super::store::{PageSize, Store};
use crate::cache::{Cache, FillToken, Lookup, Participant, Scope, SingleFlight};
use crate::config::DateFormat;
use crate::telemetry::metrics::Metrics;

/// One read of an unlimited list; the connection is free again between two of them.
const CHUNK: PageSize = PageSize { rows: 2_000, bytes: 128 * 1024 };
/// Lists streamed at the same time. For a slow client each holds one chunk, and what was read before streaming began.
const MAX_STREAMS: usize = 64;
/// A further one waits this long for the end of another.
const STREAM_TIMEOUT: Duration = Duration::from_secs(1);
/// A page ends early past this size, so that no limit of records can exhaust memory.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Without a cache, whose limit would apply, a list up to this size is held whole.
const MAX_BUFFERED_LIST: usize = 1024 * 1024;

/// The attendance service.
#[derive(Debug)]
pub struct Attendance {
    store: Arc<Store>,
    cache: Option<Arc<Cache<Arc<Content>>>>,
    format: DateFormat,
    metrics: Arc<Metrics>,
    streams: Arc<Semaphore>,
    single_flight: SingleFlight<LoadResult>,
}

/// What a read from PostgreSQL results in: an answer, or `None` if there is no such record.
type LoadResult = Result<Option<Answer>, Error>;

impl Attendance {
    /// The service over a store and, unless switched off, a cache.
    pub fn new(
        store: Arc<Store>,
        cache: Option<Arc<Cache<Arc<Content>>>>,
        format: DateFormat,
        metrics: Arc<Metrics>,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        Self { store, cache, format, metrics, streams, single_flight: SingleFlight::default() }
    }

    /// Stores a record; returns when it is durable and every read will see it.
    ///
    /// # Errors
    /// After [`Error::Unavailable`] and [`Error::Rejected`] the record may have been stored, or may be later.
    pub async fn create(&self, record: &NewRecord) -> Result<(), Error> {
        let guard = InvalidateOnDrop { cache: self.cache.as_deref(), id: &record.id };
        let outcome = self.store.create(record).await;
        if let Some(cache) = &self.cache {
            let scopes = [employee(&record.id), LISTS];
            match &outcome {
                Ok(()) | Err(Error::Conflict) => cache.invalidate(&scopes).await,
                Err(Error::Forbidden(_)) => {}
                // It is unknown whether the record was stored; the client has waited long enough.
                Err(Error::Unavailable(_) | Error::Rejected(_)) => cache.invalidate_later(&scopes),
            }
        }
        match &outcome {
            Ok(()) => self.metrics.records_created.inc(),
            Err(Error::Conflict) => self.metrics.record_conflicts.inc(),
            Err(Error::Forbidden(rule)) => {
                tracing::warn!(rule = rule.to_string(), "a constraint of the table forbade a record");
            }
            Err(_) => {}
        }
        guard.disarm();
        outcome
    }

    /// Whether [`Attendance::try_find_cached`] and [`Attendance::try_list_cached`] can succeed: this process has memory for
    /// answers and knows by itself which of them are valid. Otherwise their callers can spare the attempt.
    pub fn has_memory_cache(&self) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.can_answer_from_memory())
    }

    /// A search for the employee's latest record or, with a date, for the record of that day. Computes the cache key, once for
    /// the attempt without waiting and for the search itself.
    pub fn prepare_find(&self, id: String, date: Option<Date>) -> PreparedFind {
        PreparedFind::new(id, date, self.format)
    }

    /// The answer to a search if this process has a valid one in memory. Never waits.
    pub fn try_find_cached(&self, find: &PreparedFind, now: Instant) -> Option<Answer> {
        self.cache.as_ref()?.try_cached(&[employee(&find.id)], &find.key, now).map(hit)
    }

    /// The answer to a search; `None` if there is no such record.
    ///
    /// # Errors
    /// When the cache has no answer and PostgreSQL fails.
    pub async fn find(&self, find: &PreparedFind) -> Result<Option<Answer>, Error> {
        match self.lookup(&[employee(&find.id)], &find.key).await {
            Lookup::Hit(content) => Ok(Some(hit(content))),
            // In boxes, so that a hit does not pay for their room.
            Lookup::Miss(token) => Box::pin(self.find_once(token, find)).await,
            Lookup::Bypass => Box::pin(self.load_record(find, CacheStatus::Bypass)).await,
        }
    }

    /// Loads a record once for all reads that ask for it at the moment.
    async fn find_once(&self, token: FillToken, find: &PreparedFind) -> LoadResult {
        let leader = match self.single_flight.join(&token) {
            Participant::Leader(leader) => Some(leader),
            Participant::Follower(result) => match result.await {
                Ok(result) => return result,
                Err(_) => None,
            },
        };
        let result = self.load_record(find, CacheStatus::Miss).await;
        // Stored before the load ends for its followers, so that a read which comes too late to follow finds the answer.
        if let (Ok(Some(answer)), Some(cache)) = (&result, &self.cache) {
            cache.store(token, &answer.content);
        }
        if let Some(leader) = leader {
            leader.complete(&result);
        }
        result
    }

    async fn load_record(&self, find: &PreparedFind, cached: CacheStatus) -> LoadResult {
        let Some(mut body) = self.store.find(&find.id, find.date).await? else { return Ok(None) };
        body.push(b'\n');
        Ok(Some(loaded(body, None, cached)))
    }

    /// A list with its cache key, which is computed once for the attempt without waiting and for the list itself.
    pub fn prepare_list(&self, query: ListQuery) -> PreparedList {
        PreparedList::new(query, self.format)
    }

    /// The answer to a list if this process has a valid one in memory. Never waits.
    pub fn try_list_cached(&self, list: &PreparedList, now: Instant) -> Option<Answer> {
        self.cache.as_ref()?.try_cached(&[LISTS], &list.key, now).map(hit)
    }

    /// Records by employee, then date: a page, or all.
    ///
    /// # Errors
    /// When the cache has no answer and PostgreSQL fails, or too many lists are read or streamed already.
    pub async fn list(&self, list: &PreparedList) -> Result<Listing, Error> {
        match self.lookup(&[LISTS], &list.key).await {
            Lookup::Hit(content) => Ok(Listing::Complete(hit(content))),
            Lookup::Miss(token) => Box::pin(self.list_once(token, &list.query)).await,
            Lookup::Bypass => Box::pin(self.load_list(&list.query, CacheStatus::Bypass)).await,
        }
    }

    /// Loads a list once for all reads that ask for it at the moment, if it fits into memory. A stream has one reader only.
    async fn list_once(&self, token: FillToken, query: &ListQuery) -> Result<Listing, Error> {
        let leader = match self.single_flight.join(&token) {
            Participant::Leader(leader) => Some(leader),
            Participant::Follower(result) => match result.await {
                Ok(Ok(Some(answer))) => return Ok(Listing::Complete(answer)),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(None)) | Err(_) => None,
            },
        };
        let result = self.load_list(query, CacheStatus::Miss).await;
        if let (Ok(Listing::Complete(answer)), Some(cache)) = (&result, &self.cache) {
            cache.store(token, &answer.content);
        }
        match (leader, &result) {
            (Some(leader), Ok(Listing::Complete(answer))) => leader.complete(&Ok(Some(answer.clone()))),
            (Some(leader), Err(error)) => leader.complete(&Err(error.clone())),
            (Some(_), Ok(Listing::Stream(_))) | (None, _) => {}
        }
        result
    }

    async fn load_list(&self, query: &ListQuery, cached: CacheStatus) -> Result<Listing, Error> {
        let mut body = vec![b'['];
        let mut last = query.after.clone();
        let max_buffered = self.cache.as_ref().map_or(MAX_BUFFERED_LIST, |cache| cache.max_value());
        let mut is_complete = false;
        if let Some(limit) = query.limit {
            let size = PageSize { rows: limit as usize, bytes: MAX_PAGE_BYTES };
            let page = self.store.page(query, last.as_ref(), size, &mut body).await?;
            body.extend_from_slice(b"]\n");
            let next = if page.complete { None } else { page.last.as_ref().map(Cursor::encode) };
            return Ok(Listing::Complete(loaded(body, next, cached)));
        }
        while !is_complete {
            let size = PageSize { rows: CHUNK.rows, bytes: body.len() + CHUNK.bytes };
            let page = self.store.page(query, last.as_ref(), size, &mut body).await?;
            (last, is_complete) = (page.last, page.complete);
            if !is_complete && body.len() >= max_buffered {
                return Ok(Listing::Stream(self.stream(query.clone(), last, body).await?));
            }
        }
        body.extend_from_slice(b"]\n");
        Ok(Listing::Complete(loaded(body, None, cached)))
    }

    /// The rest of a list, read chunk by chunk as the client takes it; `begun` was read before.
    async fn stream(&self, query: ListQuery, mut last: Option<Cursor>, begun: Vec<u8>) -> Result<RowStream, Error> {
        let waiting = timeout(STREAM_TIMEOUT, self.streams.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = waiting else {
            return Err(Error::Unavailable(UnavailableError::TooManyStreams { max: MAX_STREAMS }));
        };
        let (sender, chunks) = mpsc::channel(1);
        let store = self.store.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let mut chunk = begun;
            let mut is_complete = false;
            while !is_complete {
                // A client that went away has dropped the receiver; the server disconnects one that takes nothing.
                if sender.send(Ok(Bytes::from(std::mem::take(&mut chunk)))).await.is_err() {
                    return;
                }
                chunk.reserve(CHUNK.bytes);
                chunk.push(b',');
                match store.page(&query, last.as_ref(), CHUNK, &mut chunk).await {
                    Ok(page) => {
                        if chunk.len() == 1 {
                            chunk.clear(); // the records that were left have been deleted
                        }
                        (last, is_complete) = (page.last, page.complete);
                    }
                    Err(error) => {
                        let _ = sender.send(Err(error.into())).await;
                        return;
                    }
                }
            }
            chunk.extend_from_slice(b"]\n");
            let _ = sender.send(Ok(Bytes::from(chunk))).await;
        });
        Ok(RowStream { chunks })
    }

    async fn lookup(&self, scopes: &[Scope<'_>], key: &str) -> Lookup<Arc<Content>> {
        match &self.cache {
            Some(cache) => cache.lookup(scopes, key).await,
            None => Lookup::Bypass,
        }
    }
}

fn hit(content: Arc<Content>) -> Answer {
    Answer { content, cached: CacheStatus::Hit }
}

fn loaded(body: Vec<u8>, next_cursor: Option<String>, cached: CacheStatus) -> Answer {
    Answer { content: Arc::new(Content::new(body, next_cursor)), cached }
}

/// A create in progress. If it is dropped, its client has gone; its statement goes on without it, so that the record may still be
/// stored, and the cache is invalidated.
struct InvalidateOnDrop<'a> {
    cache: Option<&'a Cache<Arc<Content>>>,
    id: &'a str,
}

impl InvalidateOnDrop<'_> {
    fn disarm(mut self) {
        self.cache = None;
    }
}

impl Drop for InvalidateOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(cache) = self.cache {
            cache.invalidate_later(&[employee(self.id), LISTS]);
        }
    }
}
