//! Records in PostgreSQL.
//!
//! Policy: every statement is prepared, parameterised and its own transaction; nothing is ever left open. A
//! statement that may rightly take long (a filter over a large table) may do so for as long as the server answers
//! others meanwhile. How connections are shared and bounded is in `pool.rs`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use futures_util::TryStreamExt as _;
use prometheus::Histogram;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::date::Date;
use super::listing::{Cursor, ListQuery, Run, Statement};
use super::pool::{Connections, Failure};
use super::record::{NewRecord, StoredRecord};
use super::service::Error;
use crate::config::DateFormat;
use crate::telemetry::metrics::Metrics;

/// A statement of `search/all` ends after this time even if the server is well.
const LONGEST_STATEMENT: Duration = Duration::from_secs(30);

const CREATE: &str = "INSERT INTO records (id, name, status, date) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
/// Both branches are index lookups; the second is reached only when the employee has no dated record.
const LATEST: &str = "\
    (SELECT id, name, status, date FROM records WHERE id = $1 AND date IS NOT NULL ORDER BY date DESC LIMIT 1) \
    UNION ALL (SELECT id, name, status, date FROM records WHERE id = $1 AND date IS NULL LIMIT 1) LIMIT 1";
const OF_DAY: &str = "SELECT id, name, status, date FROM records WHERE id = $1 AND date = $2 LIMIT 1";

/// The `records` table.
#[derive(Debug)]
pub struct Store {
    connections: Connections,
    format: DateFormat,
    timings: Timings,
}

/// Resolved once, since every request needs one.
#[derive(Debug)]
struct Timings {
    create: Histogram,
    search: Histogram,
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
    /// A store over a pool. `patience` bounds each request's wait for a connection and an answer.
    pub fn new(pool: Pool, patience: Duration, format: DateFormat, metrics: Arc<Metrics>) -> Self {
        let timing = |operation| metrics.query_duration.with_label_values(&[operation]);
        let timings = Timings {
            create: timing("create"),
            search: timing("search"),
            search_all: timing("search_all"),
            ping: timing("ping"),
        };
        Self { connections: Connections::new(pool, patience, metrics), format, timings }
    }

    /// Inserts a record; returns once it is durable. `Conflict` if the employee has one of that day.
    pub(super) async fn create(&self, record: &NewRecord) -> Result<(), Error> {
        let deadline = self.connections.deadline();
        let lease = self.connections.lease(deadline).await?;
        let _timer = self.timings.create.start_timer();
        let insert = async {
            let parameters: [&(dyn ToSql + Sync); 4] = [&record.id, &record.name, &record.status, &record.date];
            lease.execute(&lease.prepare_cached(CREATE).await?, &parameters).await
        };
        let outcome = timeout_at(deadline, insert).await;
        if lease.settle(outcome)? == 0 { Err(Error::Conflict) } else { Ok(()) }
    }

    /// Appends the employee's latest record, or the one of a day, as JSON; `false` if there is none.
    pub(super) async fn find(&self, id: &str, date: Option<Date>, out: &mut Vec<u8>) -> Result<bool, Error> {
        let deadline = self.connections.deadline();
        let found = match self.find_once(id, date, deadline).await {
            Err(Failure::Closed(_)) => self.find_once(id, date, deadline).await,
            outcome => outcome,
        };
        let Some(row) = found? else { return Ok(false) };
        write_row(&row, self.format, out).map_err(|error| Error::Refused(error.to_string()))?;
        Ok(true)
    }

    async fn find_once(&self, id: &str, date: Option<Date>, deadline: Instant) -> Result<Option<Row>, Failure> {
        let lease = self.connections.lease(deadline).await?;
        let _timer = self.timings.search.start_timer();
        let select = async {
            match &date {
                Some(date) => lease.query_opt(&lease.prepare_cached(OF_DAY).await?, &[&id, date]).await,
                None => lease.query_opt(&lease.prepare_cached(LATEST).await?, &[&id]).await,
            }
        };
        let outcome = timeout_at(deadline, select).await;
        lease.settle(outcome)
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
            let part = self.run(query, run, page.last.as_ref(), left, out).await?;
            left.rows -= part.rows;
            page.complete = part.complete;
            page.last = part.last.or(page.last);
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
        after: Option<&Cursor>,
        size: PageSize,
        out: &mut Vec<u8>,
    ) -> Result<Part, Error> {
        let start = out.len();
        let part = match self.patiently(self.run_once(query, run, after, size, out)).await {
            Err(Failure::Closed(_)) => {
                out.truncate(start);
                self.patiently(self.run_once(query, run, after, size, out)).await
            }
            outcome => outcome,
        };
        Ok(part?)
    }

    async fn run_once(
        &self,
        query: &ListQuery,
        run: Run,
        after: Option<&Cursor>,
        size: PageSize,
        out: &mut Vec<u8>,
    ) -> Result<Part, Failure> {
        let lease = self.connections.lease(self.connections.deadline()).await?;
        let _timer = self.timings.search_all.start_timer();
        // One more than wanted tells whether there is more.
        let limit = i64::try_from(size.rows).map_or(i64::MAX, |rows| rows.saturating_add(1));
        let select = async {
            let Statement { sql, parameters } = Statement::page(query, run, after, &limit);
            let prepared = lease.prepare_cached(&sql).await?;
            let mut rows = pin!(lease.query_raw(&prepared, parameters).await?);
            let mut part = Part { rows: 0, last: None, complete: true };
            let mut last = None;
            while let Some(row) = rows.try_next().await? {
                if part.rows == size.rows || out.len() > size.bytes {
                    part.complete = false;
                    break;
                }
                if out.last() == Some(&b'}') {
                    out.push(b',');
                }
                write_row(&row, self.format, out)?;
                part.rows += 1;
                last = Some(row);
            }
            part.last = last.as_ref().map(cursor).transpose()?;
            Ok(part)
        };
        let outcome = timeout(LONGEST_STATEMENT, select).await;
        lease.settle(outcome)
    }

    /// Waits for a statement past a request's usual time if the server answers a ping meanwhile.
    async fn patiently<T>(&self, statement: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let mut statement = pin!(statement);
        if let Ok(outcome) = timeout(self.connections.patience() / 2, &mut statement).await {
            return outcome;
        }
        let deadline = Instant::now() + self.connections.patience() / 2;
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
}

fn write_row(row: &Row, format: DateFormat, out: &mut Vec<u8>) -> Result<(), tokio_postgres::Error> {
    let record =
        StoredRecord { id: row.try_get(0)?, name: row.try_get(1)?, status: row.try_get(2)?, date: row.try_get(3)? };
    record.write_json(format, out);
    Ok(())
}

fn cursor(row: &Row) -> Result<Cursor, tokio_postgres::Error> {
    Ok(Cursor { id: row.try_get(0)?, date: row.try_get(3)?, address: row.try_get(4)? })
}
