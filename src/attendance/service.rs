//! What can be done with attendance records.
//!
//! Policy: a create is acknowledged after its commit and after the cache knows; a read asks the cache first. A read
//! that starts after a create was acknowledged sees it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::answer::{Answer, CacheStatus, Listing, RowStream, StreamError};
use super::cache::{Cache, FillToken, Lookup, Scope};
use super::date::Date;
use super::listing::{Cursor, ListQuery};
use super::record::NewRecord;
use super::single_flight::{Outcome, Participant, SingleFlight};
use super::store::{PageSize, Store};
use crate::config::DateFormat;
use crate::telemetry::metrics::Metrics;

/// Records read from PostgreSQL at once for an unlimited list; the connection is free again between two batches.
const BATCH: PageSize = PageSize { rows: 2_000, bytes: 128 * 1024 };
/// Lists streamed at the same time; what each holds for a slow client is a batch, and what was gathered before it.
const STREAMS: usize = 64;
/// A further one waits this long for a place.
const STREAM_PATIENCE: Duration = Duration::from_secs(1);
/// A page ends early past this size, so that no limit of records can exhaust memory.
const LARGEST_PAGE: usize = 4 * 1024 * 1024;
/// Without a cache to fit, a list up to this size is answered whole.
const WHOLE: usize = 1024 * 1024;

/// Why a request of the domain failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The employee already has a record of that day.
    #[error("the employee already has a record of that day")]
    Conflict,
    /// A rule that somebody else put on the table forbids the record. The text is for the log.
    #[error("a rule of the database forbids the record: {0}")]
    Forbidden(String),
    /// PostgreSQL could not be asked, or not in time. The text is for the log.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// PostgreSQL refused what we asked: a bug of ours, or a table that is not ours. The text is for the log.
    #[error("the database refused a statement: {0}")]
    Refused(String),
}

/// The attendance service.
#[derive(Debug)]
pub struct Attendance {
    store: Arc<Store>,
    cache: Option<Arc<Cache>>,
    format: DateFormat,
    metrics: Arc<Metrics>,
    streams: Arc<Semaphore>,
    single_flight: SingleFlight,
}

impl Attendance {
    /// The service over a store and, unless switched off, a cache.
    pub fn new(store: Arc<Store>, cache: Option<Arc<Cache>>, format: DateFormat, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            cache,
            format,
            metrics,
            streams: Arc::new(Semaphore::new(STREAMS)),
            single_flight: SingleFlight::default(),
        }
    }

    /// Stores a record; returns when it is durable and every read will see it.
    pub async fn create(&self, record: &NewRecord) -> Result<(), Error> {
        let unfinished = InvalidateOnDrop { cache: self.cache.as_deref(), id: &record.id };
        let outcome = self.store.create(record).await;
        match (&self.cache, &outcome) {
            (None, _) => {}
            (Some(cache), Ok(()) | Err(Error::Conflict)) => cache.changed(&record.id).await,
            (Some(_), Err(Error::Forbidden(_))) => {}
            // Without an answer from the database nobody knows whether it was stored; the client has waited long enough.
            (Some(cache), Err(Error::Unavailable(_) | Error::Refused(_))) => cache.suspected(&record.id),
        }
        match &outcome {
            Ok(()) => self.metrics.records_created.inc(),
            Err(Error::Conflict) => self.metrics.record_conflicts.inc(),
            Err(Error::Forbidden(rule)) => tracing::warn!(rule, "a constraint of the table forbade a record"),
            Err(_) => {}
        }
        unfinished.settle();
        outcome
    }

    /// Whether [`Attendance::try_find_cached`] and [`Attendance::try_list_cached`] can succeed: this process has memory for
    /// answers and knows by itself which of them are valid. Otherwise their callers can spare the attempt.
    pub fn has_memory_cache(&self) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.has_memory())
    }

    /// A search for the employee's latest record or, with a date, for the record of that day. Computes the cache key, once for
    /// the attempt without waiting and for the search itself.
    pub fn prepare_find(&self, id: String, date: Option<Date>) -> PreparedFind {
        let key = find_key(self.format, &id, date);
        PreparedFind { id, date, key }
    }

    /// The answer to a search if this process has a valid one in memory. Never waits.
    pub fn try_find_cached(&self, find: &PreparedFind, now: Instant) -> Option<Answer> {
        self.cache.as_ref()?.try_cached(Scope::Employee(&find.id), &find.key, now)
    }

    /// The answer to a search; `None` if there is no such record.
    pub async fn find(&self, find: &PreparedFind) -> Result<Option<Answer>, Error> {
        let (id, date) = (&find.id, find.date);
        match self.lookup(Scope::Employee(id), &find.key).await {
            Lookup::Hit(answer) => Ok(Some(answer)),
            // In boxes, so that a hit does not pay for their room.
            Lookup::Miss(ticket) => Box::pin(self.find_together(ticket, id, date)).await,
            Lookup::Bypass => Box::pin(self.find_alone(id, date, CacheStatus::Bypass)).await,
        }
    }

    /// The same from PostgreSQL, once for all who ask it now.
    async fn find_together(&self, ticket: FillToken, id: &str, date: Option<Date>) -> Outcome {
        let leader = match self.single_flight.join(&ticket.key, &ticket.generation) {
            Participant::Leader(leader) => Some(leader),
            Participant::Follower(outcome) => match outcome.await {
                Ok(outcome) => return outcome,
                Err(_) => None,
            },
        };
        let outcome = self.find_alone(id, date, CacheStatus::Miss).await;
        // Before the flight ends, so that whoever comes too late for it finds the answer.
        if let (Ok(Some(answer)), Some(cache)) = (&outcome, &self.cache) {
            cache.store(ticket, answer);
        }
        if let Some(leader) = leader {
            leader.complete(&outcome);
        }
        outcome
    }

    async fn find_alone(&self, id: &str, date: Option<Date>, cached: CacheStatus) -> Outcome {
        let Some(mut body) = self.store.find(id, date).await? else { return Ok(None) };
        body.push(b'\n');
        Ok(Some(Answer::fresh(Bytes::from(body), None, cached)))
    }

    /// A list with its cache key, which is computed once for the attempt without waiting and for the list itself.
    pub fn prepare_list(&self, query: ListQuery) -> PreparedList {
        let key = list_key(self.format, &query);
        PreparedList { query, key }
    }

    /// The answer to a list if this process has a valid one in memory. Never waits.
    pub fn try_list_cached(&self, list: &PreparedList, now: Instant) -> Option<Answer> {
        self.cache.as_ref()?.try_cached(Scope::All, &list.key, now)
    }

    /// Records by employee, then date: a page, or all.
    pub async fn list(&self, list: &PreparedList) -> Result<Listing, Error> {
        match self.lookup(Scope::All, &list.key).await {
            Lookup::Hit(answer) => Ok(Listing::Complete(answer)),
            Lookup::Miss(ticket) => Box::pin(self.list_together(ticket, &list.query)).await,
            Lookup::Bypass => Box::pin(self.list_alone(&list.query, CacheStatus::Bypass)).await,
        }
    }

    /// The same from PostgreSQL, once for all who ask it now, if it fits into memory.
    async fn list_together(&self, ticket: FillToken, query: &ListQuery) -> Result<Listing, Error> {
        let leader = match self.single_flight.join(&ticket.key, &ticket.generation) {
            Participant::Leader(leader) => Some(leader),
            Participant::Follower(outcome) => match outcome.await {
                Ok(Ok(Some(answer))) => return Ok(Listing::Complete(answer)),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(None)) | Err(_) => None,
            },
        };
        let outcome = self.list_alone(query, CacheStatus::Miss).await;
        if let (Ok(Listing::Complete(answer)), Some(cache)) = (&outcome, &self.cache) {
            cache.store(ticket, answer);
        }
        match (leader, &outcome) {
            (Some(leader), Ok(Listing::Complete(answer))) => leader.complete(&Ok(Some(answer.clone()))),
            (Some(leader), Err(error)) => leader.complete(&Err(error.clone())),
            (Some(_), Ok(Listing::Stream(_))) | (None, _) => {}
        }
        outcome
    }

    async fn list_alone(&self, query: &ListQuery, cached: CacheStatus) -> Result<Listing, Error> {
        let mut body = vec![b'['];
        let mut last = query.after.clone();
        let whole = self.cache.as_ref().map_or(WHOLE, |cache| cache.max_value());
        let mut complete = false;
        if let Some(limit) = query.limit {
            let size = PageSize { rows: limit as usize, bytes: LARGEST_PAGE };
            let page = self.store.page(query, last.as_ref(), size, &mut body).await?;
            body.extend_from_slice(b"]\n");
            let next = if page.complete { None } else { page.last.as_ref().map(Cursor::encode) };
            return Ok(Listing::Complete(Answer::fresh(Bytes::from(body), next, cached)));
        }
        while !complete {
            let size = PageSize { rows: BATCH.rows, bytes: body.len() + BATCH.bytes };
            let page = self.store.page(query, last.as_ref(), size, &mut body).await?;
            (last, complete) = (page.last, page.complete);
            if !complete && body.len() >= whole {
                return Ok(Listing::Stream(self.stream(query.clone(), last, body).await?));
            }
        }
        body.extend_from_slice(b"]\n");
        Ok(Listing::Complete(Answer::fresh(Bytes::from(body), None, cached)))
    }

    /// The rest of a list, read batch by batch as the client takes it.
    async fn stream(&self, query: ListQuery, mut last: Option<Cursor>, begun: Vec<u8>) -> Result<RowStream, Error> {
        let waiting = timeout(STREAM_PATIENCE, self.streams.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = waiting else {
            return Err(Error::Unavailable(format!("{STREAMS} lists are being sent already")));
        };
        let (sender, chunks) = mpsc::channel(1);
        let store = self.store.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let mut piece = begun;
            let mut complete = false;
            while !complete {
                // A client that went away has dropped the receiver; one that takes nothing is cut off by the server.
                if sender.send(Ok(Bytes::from(std::mem::take(&mut piece)))).await.is_err() {
                    return;
                }
                piece.reserve(BATCH.bytes);
                piece.push(b',');
                match store.page(&query, last.as_ref(), BATCH, &mut piece).await {
                    Ok(page) => {
                        if piece.len() == 1 {
                            piece.clear(); // the records that were left are gone
                        }
                        (last, complete) = (page.last, page.complete);
                    }
                    Err(error) => {
                        let _ = sender.send(Err(StreamError(error.to_string()))).await;
                        return;
                    }
                }
            }
            piece.extend_from_slice(b"]\n");
            let _ = sender.send(Ok(Bytes::from(piece))).await;
        });
        Ok(RowStream { chunks })
    }

    async fn lookup(&self, scope: Scope<'_>, key: &str) -> Lookup {
        match &self.cache {
            Some(cache) => cache.lookup(scope, key).await,
            None => Lookup::Bypass,
        }
    }
}

/// A search for one record, and the key under which its answer is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedFind {
    id: String,
    date: Option<Date>,
    key: String,
}

/// A list of records, and the key under which its answer is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedList {
    query: ListQuery,
    key: String,
}

impl PreparedList {
    /// Which records are listed.
    pub fn query(&self) -> &ListQuery {
        &self.query
    }
}

/// A create under way. Dropped before it is settled, its client has gone; the statement goes on without it, so the record may
/// come to be stored.
struct InvalidateOnDrop<'a> {
    cache: Option<&'a Cache>,
    id: &'a str,
}

impl InvalidateOnDrop<'_> {
    fn settle(mut self) {
        self.cache = None;
    }
}

impl Drop for InvalidateOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(cache) = self.cache {
            cache.suspected(self.id);
        }
    }
}

/// Everything a record depends on.
fn find_key(format: DateFormat, id: &str, date: Option<Date>) -> String {
    let mut key = String::with_capacity(id.len() + 24);
    key.push_str(match format {
        DateFormat::Iso => "s:Iso:",
        DateFormat::Http => "s:Http:",
    });
    match date {
        None => key.push_str("latest"),
        // Writing to a String cannot fail.
        Some(date) => drop(write!(key, "{date}")),
    }
    key.push(':');
    key.push_str(id);
    key
}

/// Everything a list depends on. Texts carry their length, so that no two queries share a key.
fn list_key(format: DateFormat, query: &ListQuery) -> String {
    let mut key = String::with_capacity(64);
    // Writing to a String cannot fail; what is not given is a dash.
    let _ = write!(key, "l:{format:?}");
    for text in [&query.id, &query.status, &query.name] {
        let _ = match text {
            Some(text) => write!(key, ":{}={text}", text.len()),
            None => key.write_str(":-"),
        };
    }
    for date in [query.from, query.to] {
        let _ = match date {
            Some(date) => write!(key, ":{date}"),
            None => key.write_str(":-"),
        };
    }
    let _ = write!(key, ":{}:", query.limit.unwrap_or_default());
    if let Some(after) = &query.after {
        key.push_str(&after.encode());
    }
    key
}
