//! Records in PostgreSQL.
//!
//! Policy: every statement is prepared, parameterised and its own transaction; nothing is ever left open. A
//! statement that may rightly take long (a filter over a large table) may do so for as long as the server answers
//! others meanwhile; such statements have at most half of the connections, so that creates and searches always find
//! one. `database/pool.rs` says how connections are shared and bounded.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use prometheus::Histogram;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::Row;

use super::batch_insert::BatchInsert;
use super::batch_lookup::{BatchLookup, LookupRequest};
use super::date::Date;
use super::error::{Error, UnavailableError};
use super::listing::{Cursor, ListQuery, Order, PageStatement, Segment};
use super::record::{NewRecord, StoredRecord};
use crate::config::DateFormat;
use crate::database::{Batcher, ConnectionPool, QueryError};
use crate::telemetry::metrics::Metrics;

/// A statement of `search/all` ends after this time even if the server is well.
const LIST_STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Batches of creates in progress at the same time: one is formed while the other commits.
const MAX_INSERT_BATCHES: usize = 2;
/// Batches of lookups in progress at the same time.
const MAX_LOOKUP_BATCHES: usize = 2;

/// The `records` table.
#[derive(Debug)]
pub struct Store {
    pool: Arc<ConnectionPool>,
    inserts: Batcher<BatchInsert>,
    lookups: Batcher<BatchLookup>,
    /// One for each connection that `search/all` may use.
    list_permits: Semaphore,
    format: DateFormat,
    durations: StatementDurations,
}

/// Histograms that every request needs, looked up once.
#[derive(Debug)]
struct StatementDurations {
    search_all: Histogram,
    ping: Histogram,
}

/// What one page of `search/all` ended with.
pub(super) struct Page {
    /// The last record written, if any was.
    pub(super) last: Option<Cursor>,
    /// There is nothing after it.
    pub(super) complete: bool,
}

/// How large a page may become. It ends at the limit that is reached first.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Store {
    /// A store over a pool, whose request timeout bounds each request's wait for a connection and a result.
    pub fn new(pool: ConnectionPool, format: DateFormat, metrics: &Metrics) -> Self {
        let duration = |operation| metrics.query_duration.with_label_values(&[operation]);
        let batch_size = |operation| metrics.statement_rows.with_label_values(&[operation]);
        let durations = StatementDurations { search_all: duration("search_all"), ping: duration("ping") };
        let list_permits = Semaphore::new((pool.max_size() / 2).max(1));
        let pool = Arc::new(pool);
        let insert =
            BatchInsert { pool: Arc::clone(&pool), duration: duration("create"), batch_size: batch_size("create") };
        let lookup = BatchLookup {
            pool: Arc::clone(&pool),
            format,
            duration: duration("search"),
            batch_size: batch_size("search"),
        };
        let inserts = Batcher::new(insert, MAX_INSERT_BATCHES);
        let lookups = Batcher::new(lookup, MAX_LOOKUP_BATCHES);
        Self { pool, inserts, lookups, list_permits, format, durations }
    }

    /// Inserts a record; returns once it is durable. `Conflict` if the employee has one of that day.
    pub(super) async fn create(&self, record: &NewRecord) -> Result<(), Error> {
        self.inserts.submit(record.clone(), self.pool.deadline()).await
    }

    /// The employee's latest record, or the one of a day, as JSON.
    pub(super) async fn find(&self, id: &str, day: Option<Date>) -> Result<Option<Vec<u8>>, Error> {
        self.lookups.submit(LookupRequest { id: id.to_owned(), day }, self.pool.deadline()).await
    }

    /// Appends the records after a cursor as JSON objects joined by commas.
    pub(super) async fn page(
        &self,
        query: &ListQuery,
        after: Option<&Cursor>,
        size: PageSize,
        out: &mut Vec<u8>,
    ) -> Result<Page, Error> {
        let mut page = Page { last: after.cloned(), complete: true };
        let mut left = size;
        for segment in [Segment::Identified, Segment::Anonymous] {
            if !segment.applies(query, page.last.as_ref()) {
                continue;
            }
            let mut order =
                if segment == Segment::Identified { Order::after(page.last.as_ref()) } else { Order::Address };
            loop {
                let part = self.read_segment(query, segment, order, page.last.as_ref(), left, out).await?;
                left.rows -= part.rows;
                page.complete = part.complete;
                page.last = part.last.or(page.last);
                if !part.stopped_at_null_date {
                    break;
                }
                // The rest of the page from there.
                order = Order::Address;
            }
            if !page.complete {
                break;
            }
        }
        Ok(page)
    }

    /// Reads a part of a segment, a second time if the connection turns out to have been closed.
    async fn read_segment(
        &self,
        query: &ListQuery,
        segment: Segment,
        order: Order,
        after: Option<&Cursor>,
        size: PageSize,
        out: &mut Vec<u8>,
    ) -> Result<SegmentPart, Error> {
        let start = out.len();
        match self.while_responsive(self.try_read_segment(query, segment, order, after, size, out)).await {
            Err(error) if error.is_retryable() => {
                out.truncate(start);
                self.while_responsive(self.try_read_segment(query, segment, order, after, size, out)).await
            }
            outcome => outcome,
        }
    }

    async fn try_read_segment(
        &self,
        query: &ListQuery,
        segment: Segment,
        order: Order,
        after: Option<&Cursor>,
        size: PageSize,
        out: &mut Vec<u8>,
    ) -> Result<SegmentPart, Error> {
        let deadline = self.pool.deadline();
        let Ok(Ok(_permit)) = timeout_at(deadline, self.list_permits.acquire()).await else {
            return Err(Error::Unavailable(UnavailableError::TooManyLists));
        };
        let lease = self.pool.lease(deadline).await?;
        let _timer = self.durations.search_all.start_timer();
        // One more than wanted tells whether there is more.
        let limit = i64::try_from(size.rows).map_or(i64::MAX, |rows| rows.saturating_add(1));
        let select = async {
            let PageStatement { sql, parameters } = PageStatement::new(query, segment, order, after, &limit);
            let prepared = lease.prepare_cached(&sql).await?;
            let mut rows = pin!(lease.query_raw(&prepared, parameters).await?);
            let mut part = SegmentPart { rows: 0, last: None, complete: true, stopped_at_null_date: false };
            let mut last = None;
            while let Some(row) = rows.try_next().await? {
                if part.rows == size.rows || out.len() > size.bytes {
                    part.complete = false;
                    break;
                }
                let record = StoredRecord::from_row(&row)?;
                if order == Order::Key && record.date.is_none() {
                    (part.complete, part.stopped_at_null_date) = (false, true);
                    break;
                }
                if out.last() == Some(&b'}') {
                    out.push(b',');
                }
                record.write_json(self.format, out);
                part.rows += 1;
                last = Some(row);
            }
            part.last = last.as_ref().map(|row| cursor(row, order)).transpose()?;
            Ok(part)
        };
        let outcome = timeout(LIST_STATEMENT_TIMEOUT, select).await;
        Ok(lease.finish(outcome)?)
    }

    /// Waits for a statement past the usual request timeout if the server answers a ping meanwhile.
    async fn while_responsive<T>(&self, statement: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut statement = pin!(statement);
        if let Ok(outcome) = timeout(self.pool.request_timeout() / 2, &mut statement).await {
            return outcome;
        }
        let deadline = Instant::now() + self.pool.request_timeout() / 2;
        tokio::select! {
            outcome = &mut statement => return outcome,
            alive = self.ping_by(deadline) => alive?,
        }
        statement.await
    }

    /// Checks that a statement can be run.
    ///
    /// # Errors
    /// When it cannot, or not within the request timeout.
    pub async fn ping(&self) -> Result<(), Error> {
        let deadline = self.pool.deadline();
        match self.ping_by(deadline).await {
            Err(error) if error.is_retryable() => Ok(self.ping_by(deadline).await?),
            outcome => Ok(outcome?),
        }
    }

    async fn ping_by(&self, deadline: Instant) -> Result<(), QueryError> {
        let lease = self.pool.lease(deadline).await?;
        let _timer = self.durations.ping.start_timer();
        let outcome = timeout_at(deadline, lease.batch_execute("")).await;
        lease.finish(outcome)
    }

    /// Closes every connection.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// What one statement contributed to a page.
struct SegmentPart {
    rows: usize,
    last: Option<Cursor>,
    complete: bool,
    /// It ended before a row without a date, which [`Order::Key`] cannot put in order.
    stopped_at_null_date: bool,
}

fn cursor(row: &Row, order: Order) -> Result<Cursor, tokio_postgres::Error> {
    let address = if order == Order::Address { row.try_get(4)? } else { None };
    Ok(Cursor { id: row.try_get(0)?, date: row.try_get(3)?, address })
}
