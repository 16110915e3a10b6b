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

use super::answer::{Answer, Cached, Interrupted, Listing, RowStream};
use super::cache::{Cache, Lookup, Scope, Ticket};
use super::date::Date;
use super::flights::{Flights, Outcome, Place};
use super::listing::{Cursor, ListQuery};
use super::record::NewRecord;
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
    flights: Flights,
}

impl Attendance {
    /// The service over a store and, unless switched off, a cache.
    pub fn new(store: Arc<Store>, cache: Option<Arc<Cache>>, format: DateFormat, metrics: Arc<Metrics>) -> Self {
        Self { store, cache, format, metrics, streams: Arc::new(Semaphore::new(STREAMS)), flights: Flights::default() }
    }

    /// Stores a record; returns when it is durable and every read will see it.
    pub async fn create(&self, record: &NewRecord) -> Result<(), Error> {
        let unfinished = Unfinished { cache: self.cache.as_deref(), id: &record.id };
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

    /// What [`Attendance::find`] will say, if it need not wait for anything to say it.
    pub fn find_at_once(&self, id: &str, date: Option<Date>, now: Instant) -> Option<Answer> {
        self.cache.as_ref()?.at_once(Scope::Employee(id), &find_key(self.format, id, date), now)
    }

    /// The employee's latest record, or the one of a day.
    pub async fn find(&self, id: &str, date: Option<Date>) -> Result<Option<Answer>, Error> {
        match self.lookup(Scope::Employee(id), &find_key(self.format, id, date)).await {
            Lookup::Hit(answer) => Ok(Some(answer)),
            // In boxes, so that a hit does not pay for their room.
            Lookup::Miss(ticket) => Box::pin(self.find_together(ticket, id, date)).await,
            Lookup::Bypass => Box::pin(self.find_alone(id, date, Cached::Bypass)).await,
        }
    }

    /// The same from PostgreSQL, once for all who ask it now.
    async fn find_together(&self, ticket: Ticket, id: &str, date: Option<Date>) -> Outcome {
        let leader = match self.flights.board(&ticket.key, &ticket.generation) {
            Place::Leader(leader) => Some(leader),
            Place::Passenger(outcome) => match outcome.await {
                Ok(outcome) => return outcome,
                Err(_) => None,
            },
        };
        let outcome = self.find_alone(id, date, Cached::Miss).await;
        // Before the flight ends, so that whoever comes too late for it finds the answer.
        if let (Ok(Some(answer)), Some(cache)) = (&outcome, &self.cache) {
            cache.store(ticket, answer);
        }
        if let Some(leader) = leader {
            leader.land(&outcome);
        }
        outcome
    }

    async fn find_alone(&self, id: &str, date: Option<Date>, cached: Cached) -> Outcome {
        let Some(mut body) = self.store.find(id, date).await? else { return Ok(None) };
        body.push(b'\n');
        Ok(Some(Answer::fresh(Bytes::from(body), None, cached)))
    }

    /// What [`Attendance::list`] will say, if it need not wait for anything to say it.
    pub fn list_at_once(&self, query: &ListQuery, now: Instant) -> Option<Answer> {
        self.cache.as_ref()?.at_once(Scope::All, &list_key(self.format, query), now)
    }

    /// Records by employee, then date: a page, or all.
    pub async fn list(&self, query: &ListQuery) -> Result<Listing, Error> {
        match self.lookup(Scope::All, &list_key(self.format, query)).await {
            Lookup::Hit(answer) => Ok(Listing::Whole(answer)),
            Lookup::Miss(ticket) => Box::pin(self.list_together(ticket, query)).await,
            Lookup::Bypass => Box::pin(self.list_alone(query, Cached::Bypass)).await,
        }
    }

    /// The same from PostgreSQL, once for all who ask it now, if it fits into memory.
    async fn list_together(&self, ticket: Ticket, query: &ListQuery) -> Result<Listing, Error> {
        let leader = match self.flights.board(&ticket.key, &ticket.generation) {
            Place::Leader(leader) => Some(leader),
            Place::Passenger(outcome) => match outcome.await {
                Ok(Ok(Some(answer))) => return Ok(Listing::Whole(answer)),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(None)) | Err(_) => None,
            },
        };
        let outcome = self.list_alone(query, Cached::Miss).await;
        if let (Ok(Listing::Whole(answer)), Some(cache)) = (&outcome, &self.cache) {
            cache.store(ticket, answer);
        }
        match (leader, &outcome) {
            (Some(leader), Ok(Listing::Whole(answer))) => leader.land(&Ok(Some(answer.clone()))),
            (Some(leader), Err(error)) => leader.land(&Err(error.clone())),
            (Some(_), Ok(Listing::Stream(_))) | (None, _) => {}
        }
        outcome
    }

    async fn list_alone(&self, query: &ListQuery, cached: Cached) -> Result<Listing, Error> {
        let mut body = vec![b'['];
        let mut last = query.after.clone();
        let whole = self.cache.as_ref().map_or(WHOLE, |cache| cache.max_value());
        let mut complete = false;
        if let Some(limit) = query.limit {
            let size = PageSize { rows: limit as usize, bytes: LARGEST_PAGE };
            let page = self.store.page(query, last.as_ref(), size, &mut body).await?;
            body.extend_from_slice(b"]\n");
            let next = if page.complete { None } else { page.last.as_ref().map(Cursor::encode) };
            return Ok(Listing::Whole(Answer::fresh(Bytes::from(body), next, cached)));
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
        Ok(Listing::Whole(Answer::fresh(Bytes::from(body), None, cached)))
    }

    /// The rest of a list, read batch by batch as the client takes it.
    async fn stream(&self, query: ListQuery, mut last: Option<Cursor>, begun: Vec<u8>) -> Result<RowStream, Error> {
        let waiting = timeout(STREAM_PATIENCE, self.streams.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = waiting else {
            return Err(Error::Unavailable(format!("{STREAMS} lists are being sent already")));
        };
        let (sender, pieces) = mpsc::channel(1);
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
                        let _ = sender.send(Err(Interrupted(error.to_string()))).await;
                        return;
                    }
                }
            }
            piece.extend_from_slice(b"]\n");
            let _ = sender.send(Ok(Bytes::from(piece))).await;
        });
        Ok(RowStream { pieces })
    }

    async fn lookup(&self, scope: Scope<'_>, key: &str) -> Lookup {
        match &self.cache {
            Some(cache) => cache.lookup(scope, key).await,
            None => Lookup::Bypass,
        }
    }
}

/// A create under way. Dropped before it is settled, its client has gone; the statement goes on without it, so the record may
/// come to be stored.
struct Unfinished<'a> {
    cache: Option<&'a Cache>,
    id: &'a str,
}

impl Unfinished<'_> {
    fn settle(mut self) {
        self.cache = None;
    }
}

impl Drop for Unfinished<'_> {
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
