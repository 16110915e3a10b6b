//! Records with when and by whom they were created, a page at a time.
//!
//! Policy: a page is found by key, never by offset. Rows without an id or a date, which only other programs write, cannot be addressed and are not listed
//! here (`search/all` lists them). By creation, the newest come first and those of unknown time last. There is no index that has them in this
//! order, because it would make each create slower: a page is looked for among those of the last hour, day and month before it, which a block range index
//! finds, before all rows are sorted.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::cursor_text;
use super::date::Date;
use super::error::Error;
use super::json;
use super::page_sink::{ArraySink, ViewPage};
use super::record::{RecordFormat, StoredRecord};
use super::statement::{Statement, all};
use super::store::{Store, WaitLimits};
use super::visibility::Visibility;

/// The order of a list of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOrder {
    /// By employee, then day.
    Id,
    /// By creation, the newest first.
    Created,
}

/// Which records are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsQuery {
    /// Not before this day.
    pub from: Option<Date>,
    /// Not after this day.
    pub to: Option<Date>,
    /// Only this employee.
    pub id: Option<String>,
    /// Only this name.
    pub name: Option<String>,
    /// Only this status.
    pub status: Option<String>,
    /// Only employees who are in this department of the directory.
    pub department: Option<String>,
    /// The order.
    pub order: RecordOrder,
    /// At most so many.
    pub limit: u32,
    /// Only what comes after this one.
    pub after: Option<RecordPosition>,
}

/// A record's place in a list, and the cursor of what comes after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordPosition {
    /// When it was created, in RFC 3339; unknown, or not needed by employee.
    #[serde(rename = "c")]
    created_at: Option<String>,
    /// Its employee.
    #[serde(rename = "i")]
    id: String,
    /// Its day, which is always there.
    #[serde(rename = "d", with = "super::listing::days")]
    date: Option<Date>,
}

const COLUMNS: &str = "r.id, r.name, r.status, r.date, \
    to_char(r.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), r.created_by";

/// How far back a page by creation is looked for; then everywhere.
const WINDOWS: [SignedDuration; 3] =
    [SignedDuration::from_hours(1), SignedDuration::from_hours(24), SignedDuration::from_hours(24 * 30)];

impl RecordPosition {
    /// The place that a cursor names, for an order; `None` if the text is no such cursor.
    pub fn decode(text: &str, order: RecordOrder) -> Option<Self> {
        let position: Self = cursor_text::decode(text)?;
        let Self { created_at, id, date } = &position;
        let is_moment_valid = match created_at {
            Some(moment) => order == RecordOrder::Created && cursor_text::is_moment(moment),
            None => true,
        };
        (is_moment_valid && !id.contains('\0') && date.is_some_and(Date::is_in_range)).then_some(position)
    }

    /// Its cursor.
    pub(super) fn encode(&self) -> String {
        cursor_text::encode(self)
    }
}

/// The statement of a page. `created_after` limits how far back it looks.
fn statement<'a>(
    query: &'a RecordsQuery,
    visibility: &'a Visibility,
    rows: &'a i64,
    created_after: &'a Option<String>,
) -> Statement<'a> {
    let mut statement = Statement::default();
    let mut conditions = vec![
        Some("r.id IS NOT NULL AND r.date IS NOT NULL".to_owned()),
        statement.bind_optional(&query.from, |from| format!("r.date >= {from}")),
        statement.bind_optional(&query.to, |to| format!("r.date <= {to}")),
        statement.bind_optional(&query.id, |id| format!("r.id = {id}")),
        statement.bind_optional(&query.name, |name| format!("r.name = {name}")),
        statement.bind_optional(&query.status, |status| format!("r.status = {status}")),
        statement.bind_optional(&query.department, |department| {
            format!("EXISTS (SELECT FROM employees AS e WHERE e.id = r.id AND e.department = {department})")
        }),
        statement.bind_optional(created_after, |moment| format!("r.created_at >= {moment}::timestamptz")),
        statement.bind_visible(visibility, "r.id"),
    ];
    if let Some(RecordPosition { created_at, id, date }) = &query.after {
        let (id, date) = (statement.bind(id), statement.bind_optional(date, str::to_owned).unwrap_or_default());
        // `id >=` bounds the index scan; the rest excludes days of one employee.
        let after_key = format!("r.id >= {id} AND (r.id > {id} OR r.date > {date})");
        let after = match (query.order, statement.bind_optional(created_at, |moment| format!("{moment}::timestamptz")))
        {
            (RecordOrder::Id, _) => after_key,
            (RecordOrder::Created, None) => format!("r.created_at IS NULL AND {after_key}"),
            (RecordOrder::Created, Some(moment)) => format!(
                "(r.created_at < {moment} OR (r.created_at = {moment} AND {after_key}) OR r.created_at IS NULL)"
            ),
        };
        conditions.push(Some(after));
    }
    let order = match query.order {
        RecordOrder::Id => "r.id, r.date",
        RecordOrder::Created => "r.created_at DESC NULLS LAST, r.id, r.date",
    };
    let limit = statement.bind(rows);
    let conditions = all(conditions);
    statement.sql = format!("SELECT {COLUMNS} FROM records AS r WHERE {conditions} ORDER BY {order} LIMIT {limit}");
    statement
}

/// Appends a record with its creation.
fn write_record(row: &Row, format: RecordFormat, out: &mut Vec<u8>) -> Result<(), tokio_postgres::Error> {
    StoredRecord::from_row(row)?.write_json(format, out);
    // The brace at its end.
    out.pop();
    for (name, text) in
        [(r#","created_at":"#, row.try_get::<_, Option<&str>>(4)?), (r#","created_by":"#, row.try_get(5)?)]
    {
        out.extend_from_slice(name.as_bytes());
        json::append_optional(out, text, format.charset);
    }
    out.push(b'}');
    Ok(())
}

impl Store {
    /// Reads a page of records. If this is dropped, its statement is cancelled.
    pub(super) async fn records(
        &self,
        query: &RecordsQuery,
        visibility: &Visibility,
        limits: WaitLimits,
    ) -> Result<ViewPage, Error> {
        let rows = i64::from(query.limit) + 1;
        for created_after in earliest(query, Timestamp::now()) {
            let key = |row: &Row| {
                let created_at = if query.order == RecordOrder::Created { row.try_get(4)? } else { None };
                Ok(RecordPosition { created_at, id: row.try_get(0)?, date: row.try_get(3)? })
            };
            let write = |row: &Row, out: &mut Vec<u8>| write_record(row, self.format(), out);
            let mut sink = ArraySink::new(query.limit, key, write);
            let statement = statement(query, visibility, &rows, &created_after);
            self.select(&statement, &self.durations.records, limits, &mut sink).await?;
            if created_after.is_none() || sink.is_cut() {
                return Ok(sink.finish(RecordPosition::encode));
            }
        }
        // The last one looks everywhere, and returns.
        Err(Error::ListsBusy)
    }
}

/// From when on the records of a page are looked for, in turn; `None` is for all of them.
fn earliest(query: &RecordsQuery, now: Timestamp) -> Vec<Option<String>> {
    let position = query.after.as_ref();
    let latest = match position.map(|position| &position.created_at) {
        None => Some(now),
        Some(Some(moment)) => moment.parse().ok(),
        // What follows has no time.
        Some(None) => None,
    };
    let windows = latest.filter(|_| query.order == RecordOrder::Created).map(|latest| {
        WINDOWS
            .into_iter()
            .filter_map(move |window| latest.checked_sub(window).ok())
            .map(|moment| Some(moment.to_string()))
    });
    windows.into_iter().flatten().chain([None]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(order: RecordOrder, after: Option<RecordPosition>) -> RecordsQuery {
        RecordsQuery {
            from: None,
            to: Date::parse("2026-01-31"),
            id: Some("1' OR '1'='1".to_owned()),
            name: None,
            status: None,
            department: None,
            order,
            limit: 10,
            after,
        }
    }

    #[test]
    fn values_are_parameters_and_never_part_of_the_statement() {
        let after = RecordPosition { created_at: None, id: "a'".to_owned(), date: Date::parse("2026-01-01") };
        let by_id = query(RecordOrder::Id, Some(after));
        let statement = statement(&by_id, &Visibility::All, &11, &None);
        assert_eq!(statement.parameters.len(), 5);
        assert!(!statement.sql.contains("1'") && !statement.sql.contains("a'"), "{}", statement.sql);
        assert!(statement.sql.ends_with("r.id >= $3 AND (r.id > $3 OR r.date > $4) ORDER BY r.id, r.date LIMIT $5"));
    }

    #[test]
    fn a_cursor_is_checked_like_any_input() {
        let place = RecordPosition { created_at: None, id: "ü".to_owned(), date: Date::parse("2026-01-01") };
        assert_eq!(RecordPosition::decode(&place.encode(), RecordOrder::Id), Some(place.clone()));
        let created = RecordPosition { created_at: Some("2026-01-31T08:30:00.123456Z".to_owned()), ..place };
        assert_eq!(RecordPosition::decode(&created.encode(), RecordOrder::Created), Some(created.clone()));
        assert_eq!(RecordPosition::decode(&created.encode(), RecordOrder::Id), None);
        for (created_at, id, days) in
            [("x", "1", 1), ("2026-01-31T08:30:00Z", "\0", 1), ("2026-01-31T08:30:00Z", "1", -2_451_546)]
        {
            let forged = RecordPosition {
                created_at: Some(created_at.into()),
                id: id.into(),
                date: Some(Date::from_days(days)),
            };
            assert_eq!(RecordPosition::decode(&forged.encode(), RecordOrder::Created), None);
        }
        let no_day = RecordPosition { date: None, ..created };
        assert_eq!(RecordPosition::decode(&no_day.encode(), RecordOrder::Created), None);
    }

    #[test]
    fn pages_by_creation_are_looked_for_among_the_newest_first() {
        let now: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
        assert_eq!(earliest(&query(RecordOrder::Id, None), now), [None]);
        let windows = earliest(&query(RecordOrder::Created, None), now);
        assert_eq!(windows.len(), 4);
        assert_eq!(windows[1].as_deref(), Some("2026-01-31T00:00:00Z"));
        let place = |created_at: Option<&str>| {
            let date = Date::parse("2026-01-01");
            Some(RecordPosition { created_at: created_at.map(str::to_owned), id: "1".to_owned(), date })
        };
        let windows = earliest(&query(RecordOrder::Created, place(Some("2025-01-01T01:00:00Z"))), now);
        assert_eq!(windows[0].as_deref(), Some("2025-01-01T00:00:00Z"));
        assert_eq!(earliest(&query(RecordOrder::Created, place(None)), now), [None]);
    }
}
