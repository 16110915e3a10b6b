//! Corrections, deletions and erasures of all records, the newest first, a page at a time.

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::cursor_text;
use super::error::Error;
use super::page_sink::{ArraySink, ViewPage};
use super::record_change::{CHANGE_COLUMNS, RecordChange};
use super::statement::{Statement, all};
use super::store::{Store, WaitLimits};
use super::visibility::Visibility;

/// Which changes are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesQuery {
    /// Not before this moment, in RFC 3339.
    pub from: Option<String>,
    /// Not after this moment, in RFC 3339.
    pub to: Option<String>,
    /// Only of this employee.
    pub id: Option<String>,
    /// Only by this account.
    pub by: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// Only what comes after this one.
    pub after: Option<ChangePosition>,
}

/// The place of a change in the list, and the cursor of what comes after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangePosition {
    /// When it happened, in RFC 3339.
    #[serde(rename = "c")]
    at: String,
    /// Its number.
    #[serde(rename = "n")]
    sequence: i64,
}

impl ChangePosition {
    /// The place that a cursor names; `None` if the text is no such cursor.
    pub fn decode(text: &str) -> Option<Self> {
        cursor_text::decode::<Self>(text).filter(|position| cursor_text::is_moment(&position.at))
    }

    /// Its cursor.
    pub(super) fn encode(&self) -> String {
        cursor_text::encode(self)
    }
}

impl Store {
    /// Reads a page of changes. If this is dropped, its statement is cancelled.
    pub(super) async fn changes(
        &self,
        query: &ChangesQuery,
        visibility: &Visibility,
        limits: WaitLimits,
    ) -> Result<ViewPage, Error> {
        let rows = i64::from(query.limit) + 1;
        let mut statement = Statement::default();
        let mut conditions = vec![
            statement.bind_optional(&query.from, |from| format!("changed_at >= {from}::timestamptz")),
            statement.bind_optional(&query.to, |to| format!("changed_at <= {to}::timestamptz")),
            statement.bind_optional(&query.id, |id| format!("id = {id}")),
            statement.bind_optional(&query.by, |by| format!("actor = {by}")),
            statement.bind_visible(visibility, "id"),
        ];
        if let Some(ChangePosition { at, sequence }) = &query.after {
            let (at, sequence) = (statement.bind(at), statement.bind(sequence));
            conditions.push(Some(format!("(changed_at, sequence) < ({at}::timestamptz, {sequence})")));
        }
        let limit = statement.bind(&rows);
        let conditions = all(conditions);
        statement.sql = format!(
            "SELECT {CHANGE_COLUMNS} FROM record_changes WHERE {conditions} \
             ORDER BY changed_at DESC, sequence DESC LIMIT {limit}"
        );
        let key = |row: &Row| Ok(ChangePosition { at: row.try_get(1)?, sequence: row.try_get(0)? });
        let write = |row: &Row, out: &mut Vec<u8>| {
            RecordChange::from_row(row)?.write_json(self.format(), true, out);
            Ok(())
        };
        let mut sink = ArraySink::new(query.limit, key, write);
        self.select(&statement, &self.durations.history, limits, &mut sink).await?;
        Ok(sink.finish(ChangePosition::encode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_checked_like_any_input() {
        let place = ChangePosition { at: "2026-01-31T08:30:00.123456Z".to_owned(), sequence: 7 };
        assert_eq!(ChangePosition::decode(&place.encode()), Some(place));
        for at in ["", "2026-01-31", "now"] {
            assert_eq!(
                ChangePosition::decode(&ChangePosition { at: at.to_owned(), sequence: 1 }.encode()),
                None,
                "{at}"
            );
        }
    }
}
