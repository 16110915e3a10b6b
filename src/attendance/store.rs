//! Records in PostgreSQL.
//!
//! Policy: every statement is parameterised and its own transaction; nothing is ever left open. A
//! statement that may rightly take long (a filter over a large table) may do so for as long as the server answers
//! others meanwhile; such statements have at most half of the connections, so that creates and searches always find
//! one, and are cancelled when their reader has gone. `database/pool.rs` says how connections are shared and bounded.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use prometheus::Histogram;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::{Row, RowStream};

use super::batch_insert::BatchInsert;
use super::batch_lookup::{BatchLookup, LookupRequest};
use super::date::Date;
use super::error::Error;
use super::listing::{Cursor, ListQuery, Order, PageStatement, Segment};
use super::record::{Creation, RecordFormat, StoredRecord};
use super::storage::Storage;
use crate::database::{Batcher, ConnectionPool, Lease, Parameter, QueryError, UnavailableError, repeat_refused_write};
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
    pub(super) pool: Arc<ConnectionPool>,
    inserts: Batcher<BatchInsert>,
    lookups: Batcher<BatchLookup>,
    /// One for each connection that `search/all` may use.
    list_permits: Arc<Semaphore>,
    format: RecordFormat,
    storage: Arc<Storage>,
    pub(super) durations: StatementDurations,
}

/// Histograms that every request needs, looked up once.
#[derive(Debug)]
pub(super) struct StatementDurations {
    search_all: Histogram,
    pub(super) change: Histogram,
    pub(super) history: Histogram,
    pub(super) records: Histogram,
    ping: Histogram,
    pub(super) sheet: Histogram,
    pub(super) summary: Histogram,
    pub(super) employees: Histogram,
    pub(super) calendar: Histogram,
    directory: Histogram,
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

/// Until when a page may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitLimits {
    /// For a connection.
    pub(super) connection: Instant,
    /// For its statement to end or, if it takes longer, for another sign that the database responds. When not set: one request timeout.
    pub(super) database: Option<Instant>,
}

impl WaitLimits {
    /// The limits of a further statement: the database has responded to the one before.
    pub(super) fn renewed(self, request_timeout: Duration) -> Self {
        Self { connection: self.connection.max(Instant::now() + request_timeout), database: None }
    }
}

impl Store {
    /// A store over a pool, whose request timeout bounds each request's wait for a connection and a result. `storage` is the disk of the
    /// database.
    pub fn new(pool: Arc<ConnectionPool>, storage: Arc<Storage>, format: RecordFormat, metrics: &Metrics) -> Self {
        let duration = |operation| metrics.query_duration.with_label_values(&[operation]);
        let batch_size = |operation| metrics.statement_rows.with_label_values(&[operation]);
        let durations = StatementDurations {
            search_all: duration("search_all"),
            change: duration("change"),
            history: duration("history"),
            records: duration("records"),
            ping: duration("ping"),
            sheet: duration("sheet"),
            summary: duration("summary"),
            employees: duration("employees"),
            calendar: duration("calendar"),
            directory: duration("directory"),
        };
        let list_permits = Arc::new(Semaphore::new(max_lists(pool.max_size())));
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
        Self { pool, inserts, lookups, list_permits, format, storage, durations }
    }

    /// Inserts a record; returns once it is durable. `Conflict` if the employee has one of that day.
    pub(super) async fn create(&self, creation: Creation) -> Result<(), Error> {
        let outcome = self.inserts.submit(creation, self.pool.deadline()).await;
        self.note_disk(outcome)
    }

    /// The outcome of a change, with the state of the disk as the reason if that is one.
    pub(super) fn note_disk<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        match (&outcome, self.storage.problem()) {
            (Err(Error::Unavailable(UnavailableError::Disk(_))), _) => self.storage.suspect(),
            // A server that ended for lack of space says nothing more.
            (Err(Error::Unavailable(_)), Some(problem)) => {
                return Err(Error::Unavailable(UnavailableError::Disk(problem)));
            }
            _ => {}
        }
        outcome
    }

    /// Whether the disk of the database takes records, according to the last measurement.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn check_storage(&self) -> Result<(), Error> {
        match self.storage.problem() {
            None => Ok(()),
            Some(problem) => Err(Error::Unavailable(UnavailableError::Disk(problem))),
        }
    }

    /// The employee's latest record, or the one of a day, as JSON.
    pub(super) async fn find(&self, id: &str, day: Option<Date>) -> Result<Option<Vec<u8>>, Error> {
        self.lookups.submit(LookupRequest { id: id.to_owned(), day }, self.pool.deadline()).await
    }

    /// The time by which a request that begins now must have its result.
    pub(super) fn deadline(&self) -> Instant {
        self.pool.deadline()
    }

    /// Runs a short statement that reads, a second time if the connection turns out to have been closed.
    pub(super) async fn read(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        duration: &Histogram,
        deadline: Instant,
    ) -> Result<Vec<Row>, Error> {
        match self.run(sql, parameters, duration, deadline).await {
            Err(error) if error.is_retryable() => Ok(self.run(sql, parameters, duration, deadline).await?),
            outcome => Ok(outcome?),
        }
    }

    /// Runs a short statement that changes rows and returns something of them.
    pub(super) async fn change(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        duration: &Histogram,
        deadline: Instant,
    ) -> Result<Vec<Row>, Error> {
        let outcome = repeat_refused_write(|| self.run(sql, parameters, duration, deadline)).await;
        self.note_disk(outcome.map_err(Error::from))
    }

    async fn run(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        duration: &Histogram,
        deadline: Instant,
    ) -> Result<Vec<Row>, QueryError> {
        let lease = self.pool.lease(deadline).await?;
        let _timer = duration.start_timer();
        let outcome = timeout_at(deadline, lease.query(sql, parameters)).await;
        lease.finish(outcome)
    }

    /// Reads the directory or the calendar, like [`Store::read`].
    pub(super) async fn read_rows(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        self.read(sql, parameters, &self.durations.directory, self.deadline()).await
    }

    /// Changes the directory or the calendar, like [`Store::change`].
    pub(super) async fn change_rows(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        self.change(sql, parameters, &self.durations.directory, self.deadline()).await
    }

    /// How records are written in an answer.
    pub(super) fn format(&self) -> RecordFormat {
        self.format
    }

    /// The time that a request has until its answer begins.
    pub(super) fn request_timeout(&self) -> Duration {
        self.pool.request_timeout()
    }

    /// Appends the records after a cursor as JSON objects joined by commas. If this is dropped, its statement is cancelled.
    pub(super) async fn page(
        &self,
        query: &ListQuery,
        after: Option<&Cursor>,
        size: PageSize,
        limits: WaitLimits,
        out: &mut Vec<u8>,
    ) -> Result<Page, Error> {
        let mut page = Page { last: after.cloned(), complete: true };
        let (mut left, mut limits) = (size, limits);
        for segment in [Segment::Identified, Segment::Anonymous] {
            if !segment.applies(query, page.last.as_ref()) {
                continue;
            }
            let mut order =
                if segment == Segment::Identified { Order::after(page.last.as_ref()) } else { Order::Address };
            loop {
                let part = self.read_segment(query, segment, order, page.last.as_ref(), left, limits, out).await?;
                left.rows -= part.rows;
                limits = limits.renewed(self.pool.request_timeout());
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

    /// Reads a part of a segment.
    #[expect(clippy::too_many_arguments, reason = "each is a part of one statement")]
    async fn read_segment(
        &self,
        query: &ListQuery,
        segment: Segment,
        order: Order,
        after: Option<&Cursor>,
        size: PageSize,
        limits: WaitLimits,
        out: &mut Vec<u8>,
    ) -> Result<SegmentPart, Error> {
        let limit = i64::try_from(size.rows).map_or(i64::MAX, |rows| rows.saturating_add(1));
        let statement = PageStatement::new(query, segment, order, after, &limit);
        let mut sink = SegmentSink::new(order, size, self.format, out);
        self.select(&statement, &self.durations.search_all, limits, &mut sink).await?;
        sink.finish()
    }

    /// Runs a statement that may take long, a second time if the connection turns out to have been closed. If this is dropped, the
    /// statement is cancelled.
    pub(super) async fn select(
        &self,
        statement: &impl SelectStatement,
        duration: &Histogram,
        limits: WaitLimits,
        sink: &mut impl RowSink,
    ) -> Result<(), Error> {
        let mut is_first = true;
        loop {
            let permit = Arc::clone(&self.list_permits).acquire_many_owned(self.list_weight());
            let Ok(Ok(permit)) = timeout_at(limits.connection, permit).await else { return Err(Error::ListsBusy) };
            let selecting = self.try_select(statement, duration, (limits.connection, permit), sink);
            match self.while_responsive(limits.database, selecting).await {
                Err(error) if is_first && error.is_retryable() => sink.restart(),
                outcome => return outcome,
            }
            is_first = false;
        }
    }

    async fn try_select(
        &self,
        statement: &impl SelectStatement,
        duration: &Histogram,
        (deadline, permit): (Instant, OwnedSemaphorePermit),
        sink: &mut impl RowSink,
    ) -> Result<(), Error> {
        let mut lease = self.pool.lease(deadline).await?;
        lease.cancel_on_drop(permit);
        let _timer = duration.start_timer();
        let select = async {
            let mut rows = pin!(statement.start(&lease).await?);
            while let Some(row) = rows.try_next().await? {
                if sink.row(row)?.is_break() {
                    break;
                }
            }
            Ok(())
        };
        let outcome = timeout(LIST_STATEMENT_TIMEOUT, select).await;
        Ok(lease.finish(outcome)?)
    }

    /// How many of the permits a list takes: several if the pool has fewer connections than configured.
    fn list_weight(&self) -> u32 {
        let permits = max_lists(self.pool.max_size());
        u32::try_from(permits.div_ceil(max_lists(self.pool.capacity()))).unwrap_or(1)
    }

    /// Waits for a statement past the deadline if the server answers a ping before.
    async fn while_responsive<T>(
        &self,
        deadline: Option<Instant>,
        statement: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut statement = pin!(statement);
        let now = Instant::now();
        let deadline = deadline.unwrap_or_else(|| now + self.pool.request_timeout());
        if let Ok(outcome) = timeout_at(now + deadline.saturating_duration_since(now) / 2, &mut statement).await {
            return outcome;
        }
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
        let outcome = timeout_at(deadline, lease.ping()).await;
        lease.finish(outcome)
    }

    /// Closes every connection.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// How many of so many connections lists may use.
fn max_lists(connections: usize) -> usize {
    (connections / 2).max(1)
}

/// A statement that selects rows.
pub(super) trait SelectStatement: Sync {
    /// Sends it.
    fn start(&self, lease: &Lease<'_>) -> impl Future<Output = Result<RowStream, tokio_postgres::Error>> + Send;
}

impl SelectStatement for PageStatement<'_> {
    async fn start(&self, lease: &Lease<'_>) -> Result<RowStream, tokio_postgres::Error> {
        lease.query_raw(&self.sql, &self.parameters).await
    }
}

/// Receives the rows of a statement.
pub(super) trait RowSink: Send {
    /// Forgets the rows, because the statement begins again.
    fn restart(&mut self);

    /// Takes a row. `Break` means that no further one is wanted.
    fn row(&mut self, row: Row) -> Result<ControlFlow<()>, tokio_postgres::Error>;
}

/// Writes the rows of a segment.
struct SegmentSink<'a> {
    order: Order,
    size: PageSize,
    format: RecordFormat,
    out: &'a mut Vec<u8>,
    /// The length of `out` before the first row.
    start: usize,
    part: SegmentPart,
    last: Option<Row>,
}

impl<'a> SegmentSink<'a> {
    fn new(order: Order, size: PageSize, format: RecordFormat, out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { order, size, format, out, start, part: SegmentPart::default(), last: None }
    }

    fn finish(self) -> Result<SegmentPart, Error> {
        let last = self.last.as_ref().map(|row| cursor(row, self.order)).transpose();
        Ok(SegmentPart { last: last.map_err(QueryError::statement)?, ..self.part })
    }
}

impl RowSink for SegmentSink<'_> {
    fn restart(&mut self) {
        self.out.truncate(self.start);
        (self.part, self.last) = (SegmentPart::default(), None);
    }

    fn row(&mut self, row: Row) -> Result<ControlFlow<()>, tokio_postgres::Error> {
        if self.part.rows == self.size.rows || self.out.len() > self.size.bytes {
            self.part.complete = false;
            return Ok(ControlFlow::Break(()));
        }
        let record = StoredRecord::from_row(&row)?;
        if self.order == Order::Key && record.date.is_none() {
            (self.part.complete, self.part.stopped_at_null_date) = (false, true);
            return Ok(ControlFlow::Break(()));
        }
        if self.out.last() == Some(&b'}') {
            self.out.push(b',');
        }
        record.write_json(self.format, self.out);
        self.part.rows += 1;
        self.last = Some(row);
        Ok(ControlFlow::Continue(()))
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

impl Default for SegmentPart {
    fn default() -> Self {
        Self { rows: 0, last: None, complete: true, stopped_at_null_date: false }
    }
}

fn cursor(row: &Row, order: Order) -> Result<Cursor, tokio_postgres::Error> {
    let address = if order == Order::Address { row.try_get(4)? } else { None };
    Ok(Cursor { id: row.try_get(0)?, date: row.try_get(3)?, address })
}
