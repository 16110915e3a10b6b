//! Views in PostgreSQL: one statement for each page.
//!
//! Policy: a page ends with the limit of its query, or past [`MAX_PAGE_BYTES`], so that its memory has a bound whatever the texts are. The statements
//! are planned for the values that they are run with, because one over few days and one over all days need different plans.

use std::ops::ControlFlow;

use tokio_postgres::{Row, RowStream};

use super::calendar::{CalendarMoment, CalendarQuery, write_calendar_day};
use super::date::Date;
use super::employee::{EMPLOYEE_COLUMNS, EmployeesQuery, write_employee};
use super::error::Error;
use super::page_sink::{ArraySink, MAX_PAGE_BYTES, ViewPage};
use super::record::RecordFormat;
use super::sheet::{SheetEmployee, SheetQuery, SheetWriter};
use super::sheet_statement::{SheetParameters, overrides_statement, sheet_statement};
use super::statement::{Statement, all};
use super::store::{RowSink, SelectStatement, Store, WaitLimits};
use super::summary::{GroupTooLarge, SummaryQuery, SummaryWriter};
use super::summary_statement::{RowKey, SummaryParameters, is_end, row_key, summary_statement};
use super::view::{PreparedView, ViewQuery};
use super::view_cursor::ViewCursor;
use super::visibility::Visibility;
use crate::database::{Columns, Lease};

impl Store {
    /// Reads a page of a view. If this is dropped, its statement is cancelled.
    pub(super) async fn view(&self, view: &PreparedView, limits: WaitLimits) -> Result<ViewPage, Error> {
        let visibility = &view.visibility;
        match &view.query {
            ViewQuery::Sheet(query) => self.sheet(query, visibility, view.moment, limits).await,
            ViewQuery::Summary(query) => self.summary(query, visibility, limits).await,
            ViewQuery::Employees(query) => self.employees(query, visibility, limits).await,
            ViewQuery::Calendar(query) => self.calendar(query, limits).await,
            ViewQuery::Records(query) => self.records(query, visibility, limits).await,
            ViewQuery::Changes(query) => self.changes(query, visibility, limits).await,
        }
    }

    async fn sheet(
        &self,
        query: &SheetQuery,
        visibility: &Visibility,
        moment: CalendarMoment,
        limits: WaitLimits,
    ) -> Result<ViewPage, Error> {
        let parameters = SheetParameters::new(query);
        let statement = sheet_statement(query, visibility, &parameters);
        let mut sink = SheetSink { query, moment, format: self.format(), writer: None, last: None, is_complete: true };
        self.select(&statement, &self.durations.sheet, limits, &mut sink).await?;
        if sink.writer.is_none() {
            let statement = overrides_statement(&parameters);
            let mut days = OverridesSink(&mut sink);
            self.select(&statement, &self.durations.sheet, limits.renewed(self.request_timeout()), &mut days).await?;
        }
        let SheetSink { writer, last, is_complete, .. } = sink;
        let next = if is_complete { None } else { last.map(|id| ViewCursor::Text(Some(id)).encode()) };
        // Either statement has begun it.
        let body = writer.map(SheetWriter::finish).unwrap_or_default();
        Ok(ViewPage { body, next })
    }

    async fn summary(
        &self,
        query: &SummaryQuery,
        visibility: &Visibility,
        limits: WaitLimits,
    ) -> Result<ViewPage, Error> {
        let mut sink = SummarySink::new(query, self.format());
        if !query.after.as_ref().is_some_and(is_end) {
            let parameters = SummaryParameters::new(query);
            let statement = summary_statement(query, visibility, &parameters);
            self.select(&statement, &self.durations.summary, limits, &mut sink).await?;
        }
        if sink.is_too_large {
            return Err(Error::SummaryTooLarge);
        }
        let (body, last) = sink.writer.finish();
        Ok(ViewPage { body, next: last.filter(|_| !sink.is_complete).map(|key| key.encode()) })
    }

    async fn employees(
        &self,
        query: &EmployeesQuery,
        visibility: &Visibility,
        limits: WaitLimits,
    ) -> Result<ViewPage, Error> {
        let rows = i64::from(query.limit) + 1;
        let mut statement = Statement::default();
        let contains = |column: &str, text: &str| format!("strpos(lower({column}), lower({text})) > 0");
        let condition = all([
            statement.bind_optional(&query.q, |q| format!("({} OR {})", contains("id", q), contains("name", q))),
            statement.bind_optional(&query.department, |department| format!("department = {department}")),
            statement.bind_optional(&query.active_on, |day| {
                format!("(joined_on IS NULL OR joined_on <= {day}) AND (left_on IS NULL OR left_on >= {day})")
            }),
            statement.bind_optional(&query.after, |after| format!("id > {after}")),
            statement.bind_visible(visibility, "id"),
        ]);
        let limit = statement.bind(&rows);
        statement.sql = format!("SELECT {EMPLOYEE_COLUMNS} FROM employees WHERE {condition} ORDER BY id LIMIT {limit}");
        let key = |row: &Row| Ok(ViewCursor::Text(row.try_get(0)?));
        let write = |row: &Row, out: &mut Vec<u8>| write_employee(row, self.format(), out);
        let mut sink = ArraySink::new(query.limit, key, write);
        self.select(&statement, &self.durations.employees, limits, &mut sink).await?;
        Ok(sink.finish(ViewCursor::encode))
    }

    async fn calendar(&self, query: &CalendarQuery, limits: WaitLimits) -> Result<ViewPage, Error> {
        let rows = i64::from(query.limit) + 1;
        let mut statement = Statement::default();
        let condition = all([
            statement.bind_optional(&query.from, |from| format!("date >= {from}")),
            statement.bind_optional(&query.to, |to| format!("date <= {to}")),
            statement.bind_optional(&query.after, |after| format!("date > {after}")),
        ]);
        let limit = statement.bind(&rows);
        statement.sql =
            format!("SELECT date, kind, name FROM calendar_days WHERE {condition} ORDER BY date LIMIT {limit}");
        let key = |row: &Row| Ok(ViewCursor::Day(row.try_get(0)?));
        let write = |row: &Row, out: &mut Vec<u8>| {
            write_calendar_day(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, self.format(), out);
            Ok(())
        };
        let mut sink = ArraySink::new(query.limit, key, write);
        self.select(&statement, &self.durations.calendar, limits, &mut sink).await?;
        Ok(sink.finish(ViewCursor::encode))
    }
}

impl SelectStatement for Statement<'_> {
    async fn start(&self, lease: &Lease<'_>) -> Result<RowStream, tokio_postgres::Error> {
        lease.query_unprepared(&self.sql, &self.parameters).await
    }
}

/// Writes a sheet.
struct SheetSink<'a> {
    query: &'a SheetQuery,
    moment: CalendarMoment,
    format: RecordFormat,
    writer: Option<SheetWriter>,
    last: Option<String>,
    is_complete: bool,
}

impl SheetSink<'_> {
    /// Begins the sheet with the overrides of the calendar, whose columns begin at a position of a row.
    fn begin(&mut self, row: &Row, column: usize) -> Result<(), tokio_postgres::Error> {
        let dates = row.try_get::<_, Option<Vec<Date>>>(column)?.unwrap_or_default();
        let kinds = row.try_get::<_, Option<Vec<Option<&str>>>>(column + 1)?.unwrap_or_default();
        let names = row.try_get::<_, Option<Vec<Option<&str>>>>(column + 2)?.unwrap_or_default();
        let overrides = dates.into_iter().zip(kinds).zip(names).map(|((date, kind), name)| (date, kind, name));
        let days = self.moment.days(self.query.range, overrides);
        self.writer = Some(SheetWriter::new(self.query.range, self.moment, days, self.format));
        Ok(())
    }
}

/// Begins a sheet without employees.
struct OverridesSink<'a, 'b>(&'a mut SheetSink<'b>);

impl RowSink for OverridesSink<'_, '_> {
    fn restart(&mut self) {
        self.0.restart();
    }

    fn row(&mut self, row: Row) -> Result<ControlFlow<()>, tokio_postgres::Error> {
        self.0.begin(&row, 0)?;
        Ok(ControlFlow::Continue(()))
    }
}

impl RowSink for SheetSink<'_> {
    fn restart(&mut self) {
        (self.writer, self.last, self.is_complete) = (None, None, true);
    }

    fn row(&mut self, row: Row) -> Result<ControlFlow<()>, tokio_postgres::Error> {
        if self.writer.is_none() {
            self.begin(&row, 7)?;
        }
        // It has just been begun.
        let Some(writer) = &mut self.writer else { return Ok(ControlFlow::Continue(())) };
        if writer.employees == self.query.limit as usize || writer.len() > MAX_PAGE_BYTES {
            self.is_complete = false;
            return Ok(ControlFlow::Break(()));
        }
        let mut columns = Columns::of(&row);
        let id: &str = columns.read()?;
        writer.append(&SheetEmployee {
            id,
            name: columns.read()?,
            department: columns.read()?,
            joined_on: columns.read()?,
            left_on: columns.read()?,
            dates: columns.read::<Option<_>>()?.unwrap_or_default(),
            statuses: columns.read::<Option<_>>()?.unwrap_or_default(),
        });
        self.last = Some(id.to_owned());
        Ok(ControlFlow::Continue(()))
    }
}

/// Writes a summary.
struct SummarySink<'a> {
    query: &'a SummaryQuery,
    format: RecordFormat,
    writer: SummaryWriter,
    is_complete: bool,
    is_too_large: bool,
}

impl<'a> SummarySink<'a> {
    fn new(query: &'a SummaryQuery, format: RecordFormat) -> Self {
        let writer = SummaryWriter::new(query.by, format.charset);
        Self { query, format, writer, is_complete: true, is_too_large: false }
    }
}

impl RowSink for SummarySink<'_> {
    fn restart(&mut self) {
        *self = Self::new(self.query, self.format);
    }

    fn row(&mut self, row: Row) -> Result<ControlFlow<()>, tokio_postgres::Error> {
        let key = match row_key(self.query.by, &row)? {
            RowKey::Text(text) => ViewCursor::Text(text.map(str::to_owned)),
            RowKey::Day(day) => self.writer.day_key(day),
        };
        let is_full = self.writer.begun() == self.query.limit as usize || self.writer.len() > MAX_PAGE_BYTES;
        if is_full && self.writer.begins_group(&key) {
            self.is_complete = false;
            return Ok(ControlFlow::Break(()));
        }
        // A count is never negative.
        let count = u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or_default();
        if let Err(GroupTooLarge) = self.writer.add(key, row.try_get(1)?, count) {
            self.is_too_large = true;
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }
}
