//! Records in PostgreSQL.
//!
//! Policy: every statement is prepared, parameterised and its own transaction; nothing is ever left open. A
//! statement that may rightly take long (a filter over a large table) may do so for as long as the server answers
//! others meanwhile; such statements have half of the connections at most, so that creates and searches always find
//! one. How connections are shared and bounded is in `pool.rs`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use futures_util::TryStreamExt as _;
use prometheus::Histogram;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::Row;

use super::batch_insert::BatchInsert;
use super::batch_lookup::{BatchLookup, Lookup};
use super::batcher::Batcher;
use super::date::Date;
use super::listing::{Cursor, ListQuery, Order, Run, Statement};
use super::pool::{Connections, Failure};
use super::record::{NewRecord, StoredRecord};
use super::service::Error;
use crate::config::DateFormat;
use crate::telemetry::metrics::Metrics;

/// A statement of `search/all` ends after this time even if the server is well.
const LONGEST_STATEMENT: Duration = Duration::from_secs(30);

/// Statements for creates that may be under way at once: one gathers while the other commits.
const CREATE_LANES: usize = 2;
/// Likewise for lookups.
const LOOKUP_LANES: usize = 2;

/// The `records` table.
#[derive(Debug)]
pub struct Store {
    connections: Arc<Connections>,
    creates: Batcher<BatchInsert>,
    lookups: Batcher<BatchLookup>,
    /// Connections that `search/all` may use.
    lists: Semaphore,
    format: DateFormat,
    timings: Timings,
}

/// Resolved once, since every request needs one.
#[derive(Debug)]
struct Timings {
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

/// How large a page may become: it ends at whichever comes first.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Store {
    /// A store over a pool. `request_timeout` bounds each request's wait for a connection and an answer.
    pub fn new(pool: Pool, request_timeout: Duration, format: DateFormat, metrics: Arc<Metrics>) -> Self {
        let timing = |operation| metrics.query_duration.with_label_values(&[operation]);
        let rows = |operation| metrics.statement_rows.with_label_values(&[operation]);
        let timings = Timings { search_all: timing("search_all"), ping: timing("ping") };
        let lists = Semaphore::new((pool.status().max_size / 2).max(1));
        let connections = Arc::new(Connections::new(pool, request_timeout, Arc::clone(&metrics)));
        let creates =
            BatchInsert { connections: Arc::clone(&connections), timing: timing("create"), rows: rows("create") };
        let lookups = BatchLookup {
            connections: Arc::clone(&connections),
            format,
            timing: timing("search"),
            rows: rows("search"),
        };
        let (creates, lookups) = (Batcher::new(creates, CREATE_LANES), Batcher::new(lookups, LOOKUP_LANES));
        Self { connections, creates, lookups, lists, format, timings }
    }

    /// Inserts a record; returns once it is durable. `Conflict` if the employee has one of that day.
    pub(super) async fn create(&self, record: &NewRecord) -> Result<(), Error> {
        self.creates.ask(record.clone(), self.connections.deadline()).await
    }

    /// The employee's latest record, or the one of a day, as JSON.
    pub(super) async fn find(&self, id: &str, day: Option<Date>) -> Result<Option<Vec<u8>>, Error> {
        self.lookups.ask(Lookup { id: id.to_owned(), day }, self.connections.deadline()).await
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
        for run in [Run::Identified, Run::Anonymous] {
            if !run.applies(query, page.last.as_ref()) {
                continue;
            }
            let mut order = if run == Run::Identified { Order::after(page.last.as_ref()) } else { Order::Address };
            loop {
                let part = self.run(query, run, order, page.last.as_ref(), left, out).await?;
                left.rows -= part.rows;
                page.complete = part.complete;
                page.last = part.last.or(page.last);
                if !part.undated {
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

    /// One run of the order. The server is given its time as long as it answers others.
    async fn run(
        &self,
        query: &ListQuery,
        run: Run,
        order: Order,
        after: Option<&Cursor>,
        size: PageSize,
        out: &mut Vec<u8>,
    ) -> Result<Part, Error> {
        let start = out.len();
        let part = match self.patiently(self.run_once(query, run, order, after, size, out)).await {
            Err(Failure::Closed(_)) => {
                out.truncate(start);
                self.patiently(self.run_once(query, run, order, after, size, out)).await
            }
            outcome => outcome,
        };
        Ok(part?)
    }

    async fn run_once(
        &self,
        query: &ListQuery,
        run: Run,
        order: Order,
        after: Option<&Cursor>,
        size: PageSize,
        out: &mut Vec<u8>,
    ) -> Result<Part, Failure> {
        let deadline = self.connections.deadline();
        let Ok(Ok(_turn)) = timeout_at(deadline, self.lists.acquire()).await else {
            return Err(Failure::Final(Error::Unavailable("too many lists are being read".to_owned())));
        };
        let lease = self.connections.lease(deadline).await?;
        let _timer = self.timings.search_all.start_timer();
        // One more than wanted tells whether there is more.
        let limit = i64::try_from(size.rows).map_or(i64::MAX, |rows| rows.saturating_add(1));
        let select = async {
            let Statement { sql, parameters } = Statement::page(query, run, order, after, &limit);
            let prepared = lease.prepare_cached(&sql).await?;
            let mut rows = pin!(lease.query_raw(&prepared, parameters).await?);
            let mut part = Part { rows: 0, last: None, complete: true, undated: false };
            let mut last = None;
            while let Some(row) = rows.try_next().await? {
                if part.rows == size.rows || out.len() > size.bytes {
                    part.complete = false;
                    break;
                }
                let record = StoredRecord::of(&row)?;
                if order == Order::Key && record.date.is_none() {
                    (part.complete, part.undated) = (false, true);
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
        let outcome = timeout(LONGEST_STATEMENT, select).await;
        lease.settle(outcome)
    }

    /// Waits for a statement past a request's usual time if the server answers a ping meanwhile.
    async fn patiently<T>(&self, statement: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let mut statement = pin!(statement);
        if let Ok(outcome) = timeout(self.connections.request_timeout() / 2, &mut statement).await {
            return outcome;
        }
        let deadline = Instant::now() + self.connections.request_timeout() / 2;
        tokio::select! {
            outcome = &mut statement => return outcome,
            alive = self.ping_by(deadline) => alive?,
        }
        statement.await
    }

    /// Whether a statement can be run.
    pub async fn ping(&self) -> Result<(), Error> {
        let deadline = self.connections.deadline();
        match self.ping_by(deadline).await {
            Err(Failure::Closed(_)) => Ok(self.ping_by(deadline).await?),
            outcome => Ok(outcome?),
        }
    }

    async fn ping_by(&self, deadline: Instant) -> Result<(), Failure> {
        let lease = self.connections.lease(deadline).await?;
        let _timer = self.timings.ping.start_timer();
        let outcome = timeout_at(deadline, lease.batch_execute("")).await;
        lease.settle(outcome)
    }

    /// Closes every connection.
    pub fn close(&self) {
        self.connections.close();
    }
}

/// What one run contributed to a page.
struct Part {
    rows: usize,
    last: Option<Cursor>,
    complete: bool,
    /// It ended before a row without a date, which it cannot put in order.
    undated: bool,
}

fn cursor(row: &Row, order: Order) -> Result<Cursor, tokio_postgres::Error> {
    let address = if order == Order::Address { row.try_get(4)? } else { None };
    Ok(Cursor { id: row.try_get(0)?, date: row.try_get(3)?, address })
}
