//! What can be done with attendance records.
//!
//! Policy: a create is acknowledged after its commit and after the cache knows; a read asks the cache first. A read
//! that starts after a create was acknowledged sees it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::answer::{Answer, Cached, Interrupted, Listing, RowStream};
use super::cache::{Cache, Lookup, Scope};
use super::date::Date;
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
#[derive(Debug, thiserror::Error)]
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
}

impl Attendance {
    /// The service over a store and, unless switched off, a cache.
    pub fn new(store: Arc<Store>, cache: Option<Arc<Cache>>, format: DateFormat, metrics: Arc<Metrics>) -> Self {
        Self { store, cache, format, metrics, streams: Arc::new(Semaphore::new(STREAMS)) }
    }

    /// Stores a record; returns when it is durable and every read will see it.
    pub async fn create(&self, record: &NewRecord) -> Result<(), Error> {
        let outcome = self.store.create(record).await;
        match (&self.cache, &outcome) {
            (None, _) => {}
            (Some(cache), Ok(()) | Err(Error::Conflict)) => cache.changed(&record.id).await,
            // Without an answer from the database nobody knows whether it was stored; the client has waited long enough.
            (Some(cache), Err(_)) => cache.suspected(&record.id),
        }
        match &outcome {
            Ok(()) => self.metrics.records_created.inc(),
            Err(Error::Conflict) => self.metrics.record_conflicts.inc(),
            Err(Error::Forbidden(rule)) => tracing::warn!(rule, "a constraint of the table forbade a record"),
            Err(_) => {}
        }
        outcome
    }

    /// The employee's latest record, or the one of a day.
    pub async fn find(&self, id: &str, date: Option<Date>) -> Result<Option<Answer>, Error> {
        let key = match date {
            None => format!("s:{:?}:latest:{id}", self.format),
            Some(date) => format!("s:{:?}:{date}:{id}", self.format),
        };
        let lookup = self.lookup(Scope::Employee(id), &key).await;
        if let Lookup::Hit(answer) = lookup {
            return Ok(Some(answer));
        }
        let mut body = Vec::with_capacity(192);
        if !self.store.find(id, date, &mut body).await? {
            return Ok(None);
        }
        body.push(b'\n');
        Ok(Some(self.finish(lookup, body, None).await))
    }

    /// Records by employee, then date: a page, or all.
    pub async fn list(&self, query: &ListQuery) -> Result<Listing, Error> {
        let lookup = self.lookup(Scope::All, &list_key(self.format, query)).await;
        if let Lookup::Hit(answer) = lookup {
            return Ok(Listing::Whole(answer));
        }
        let mut body = vec![b'['];
        let mut last = query.after.clone();
        let whole = self.cache.as_ref().map_or(WHOLE, |cache| cache.max_value());
        let mut complete = false;
        if let Some(limit) = query.limit {
            let size = PageSize { rows: limit as usize, bytes: LARGEST_PAGE };
            let page = self.store.page(query, last.as_ref(), size, &mut body).await?;
            body.extend_from_slice(b"]\n");
            let next = if page.complete { None } else { page.last.as_ref().map(Cursor::encode) };
            return Ok(Listing::Whole(self.finish(lookup, body, next).await));
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
        Ok(Listing::Whole(self.finish(lookup, body, None).await))
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

    /// Makes an answer of a body, and stores it where the lookup gave the right to.
    async fn finish(&self, lookup: Lookup, body: Vec<u8>, next: Option<String>) -> Answer {
        let body = Bytes::from(body);
        match (lookup, &self.cache) {
            (Lookup::Miss(ticket), Some(cache)) => {
                let answer = Answer::fresh(body, next, Cached::Miss);
                cache.store(ticket, &answer).await;
                answer
            }
            _ => Answer::fresh(body, next, Cached::Bypass),
        }
    }
}

/// Everything a list depends on. Texts carry their length, so that no two queries share a key.
fn list_key(format: DateFormat, query: &ListQuery) -> String {
    let text = |value: &Option<String>| value.as_ref().map_or_else(|| "-".to_owned(), |v| format!("{}={v}", v.len()));
    let date = |value: Option<Date>| value.map_or_else(|| "-".to_owned(), |date| date.to_string());
    format!(
        "l:{format:?}:{}:{}:{}:{}:{}:{}:{}",
        text(&query.id),
        text(&query.status),
        text(&query.name),
        date(query.from),
        date(query.to),
        query.limit.unwrap_or_default(),
        query.after.as_ref().map(Cursor::encode).unwrap_or_default(),
    )
}
