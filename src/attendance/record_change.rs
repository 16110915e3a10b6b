//! One entry of the history of records.
//!
//! Policy: an entry says what changed, when, why and by whom. Plain creates have no entry, so that a create costs what it always did: the `created`
//! entry of a record is made from the columns of the record, or from those that its changes keep of it.

use tokio_postgres::Row;

use super::date::Date;
use super::json;
use super::record::{RecordFormat, StoredRecord, append_date};
use crate::database::Columns;

/// The columns of an entry, in the order of [`RecordChange::from_row`].
pub(super) const CHANGE_COLUMNS: &str = "sequence, \
    to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), action, id, date, \
    before ->> 'name', before ->> 'status', after ->> 'name', after ->> 'status', reason, actor, address, request_id, \
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), created_by, \
    (before ->> 'records')::bigint, (before ->> 'changes')::bigint, (before ->> 'employees')::bigint";

/// The row of a record that exists, with the columns of an entry.
pub(super) const CURRENT_COLUMNS: &str = "NULL::bigint, NULL::text, 'current', id::text, date, \
    NULL::text, NULL::text, name::text, status::text, NULL::text, NULL::text, NULL::text, NULL::text, \
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), created_by, \
    NULL::bigint, NULL::bigint, NULL::bigint";

/// The content of a record before or after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RecordContent {
    name: Option<String>,
    status: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The record is there; not an entry of its own.
    Current,
    Created,
    Corrected,
    Deleted,
    Erased,
}

/// How much was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ErasedCounts {
    /// Records.
    pub records: i64,
    /// Entries of the history.
    pub changes: i64,
    /// Rows of the directory: one, or none.
    pub employees: i64,
}

/// What an erasure did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Erasure {
    /// What was erased.
    #[serde(flatten)]
    pub counts: ErasedCounts,
    /// Accounts that were linked to the employee: they are unlinked and disabled.
    pub accounts: i64,
    /// The keys of the sessions and tokens of these accounts.
    #[serde(skip)]
    pub credentials: Vec<String>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordChange {
    /// Its number; none for an entry that was made from a record.
    pub(super) sequence: Option<i64>,
    /// When, in RFC 3339; unknown for the creation of a record by an older version.
    pub(super) at: Option<String>,
    action: Action,
    id: Option<String>,
    date: Option<Date>,
    before: RecordContent,
    after: RecordContent,
    reason: Option<String>,
    actor: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    created_at: Option<String>,
    created_by: Option<String>,
    counts: Option<ErasedCounts>,
}

impl RecordChange {
    /// The entry in a row of [`CHANGE_COLUMNS`] or [`CURRENT_COLUMNS`].
    ///
    /// # Errors
    /// When a column has another type.
    pub(super) fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let mut columns = Columns::of(row);
        Ok(Self {
            sequence: columns.read()?,
            at: columns.read()?,
            action: match columns.read()? {
                "corrected" => Action::Corrected,
                "deleted" => Action::Deleted,
                "erased" => Action::Erased,
                _ => Action::Current,
            },
            id: columns.read()?,
            date: columns.read()?,
            before: RecordContent { name: columns.read()?, status: columns.read()? },
            after: RecordContent { name: columns.read()?, status: columns.read()? },
            reason: columns.read()?,
            actor: columns.read()?,
            address: columns.read()?,
            request_id: columns.read()?,
            created_at: columns.read()?,
            created_by: columns.read()?,
            counts: match (columns.read()?, columns.read()?, columns.read()?) {
                (Some(records), Some(changes), Some(employees)) => Some(ErasedCounts { records, changes, employees }),
                _ => None,
            },
        })
    }

    /// The creation of the record that this entry changed, or that it is.
    fn creation(&self) -> Self {
        let content = if self.action == Action::Current { &self.after } else { &self.before };
        Self {
            sequence: None,
            at: self.created_at.clone(),
            action: Action::Created,
            after: content.clone(),
            reason: None,
            actor: self.created_by.clone(),
            address: None,
            request_id: None,
            counts: None,
            ..self.clone()
        }
    }

    /// Leaves out from which address the change came.
    pub(super) fn remove_address(&mut self) {
        self.address = None;
    }

    /// Appends the entry as a JSON object; `has_key` says whether it has the id and the day of the record.
    pub(super) fn write_json(&self, format: RecordFormat, has_key: bool, out: &mut Vec<u8>) {
        let action = match self.action {
            Action::Current | Action::Created => "created",
            Action::Corrected => "corrected",
            Action::Deleted => "deleted",
            Action::Erased => "erased",
        };
        let append = |out: &mut Vec<u8>, name: &str, text: Option<&str>| {
            out.extend_from_slice(name.as_bytes());
            json::append_optional(out, text, format.charset);
        };
        append(out, r#"{"at":"#, self.at.as_deref());
        append(out, r#","action":"#, Some(action));
        if has_key {
            append(out, r#","id":"#, self.id.as_deref());
            out.extend_from_slice(br#","date":"#);
            append_date(out, self.date, format);
        }
        out.extend_from_slice(br#","before":"#);
        match (self.action, self.counts) {
            (Action::Corrected | Action::Deleted, _) => self.write_record(&self.before, format, out),
            (Action::Erased, Some(counts)) => json::append(out, &counts, format.charset),
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(br#","after":"#);
        match self.action {
            Action::Corrected | Action::Created => self.write_record(&self.after, format, out),
            _ => out.extend_from_slice(b"null"),
        }
        append(out, r#","reason":"#, self.reason.as_deref());
        append(out, r#","by":"#, self.actor.as_deref());
        append(out, r#","address":"#, self.address.as_deref());
        append(out, r#","request_id":"#, self.request_id.as_deref());
        out.push(b'}');
    }

    fn write_record(&self, content: &RecordContent, format: RecordFormat, out: &mut Vec<u8>) {
        let (name, status) = (content.name.as_deref(), content.status.as_deref());
        StoredRecord { id: self.id.as_deref(), name, status, date: self.date }.write_json(format, out);
    }
}

/// The history of one record from its changes, oldest first, and the record as it is, if there is one, at their end. A record that was deleted and
/// created again has a `created` entry for each time.
pub(super) fn with_creations(entries: Vec<RecordChange>) -> Vec<RecordChange> {
    let mut history: Vec<RecordChange> = Vec::with_capacity(entries.len() + 1);
    for entry in entries {
        if history.last().is_none_or(|last| last.action == Action::Deleted) {
            history.push(entry.creation());
        }
        if entry.action != Action::Current {
            history.push(entry);
        }
    }
    history
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendance::json::Charset;
    use crate::config::DateFormat;

    fn entry(action: Action, before: &str, after: &str) -> RecordChange {
        let content = |status: &str| RecordContent { name: Some("n".to_owned()), status: Some(status.to_owned()) };
        RecordChange {
            sequence: Some(1),
            at: Some("t".to_owned()),
            action,
            id: Some("1".to_owned()),
            date: Date::parse("2026-01-31"),
            before: content(before),
            after: content(after),
            reason: Some("why".to_owned()),
            actor: None,
            address: Some("::1".to_owned()),
            request_id: Some("r".to_owned()),
            created_at: Some("c".to_owned()),
            created_by: None,
            counts: None,
        }
    }

    #[test]
    fn each_time_that_a_record_was_created_has_an_entry() {
        let statuses = |entries: Vec<RecordChange>| -> Vec<(Action, String)> {
            let after = |entry: RecordChange| (entry.action, entry.after.status.unwrap_or_default());
            with_creations(entries).into_iter().map(after).collect()
        };
        assert_eq!(statuses(Vec::new()), []);
        assert_eq!(statuses(vec![entry(Action::Current, "", "a")]), [(Action::Created, "a".to_owned())]);
        let found = statuses(vec![
            entry(Action::Corrected, "a", "b"),
            entry(Action::Deleted, "b", ""),
            entry(Action::Current, "", "c"),
        ]);
        let expected =
            [(Action::Created, "a"), (Action::Corrected, "b"), (Action::Deleted, ""), (Action::Created, "c")];
        assert_eq!(found, expected.map(|(action, status)| (action, status.to_owned())));
    }

    #[test]
    fn an_entry_is_written_with_every_field() {
        let format = RecordFormat { date: DateFormat::Iso, charset: Charset::Ascii };
        let written = |entry: &RecordChange, has_key| {
            let mut out = Vec::new();
            entry.write_json(format, has_key, &mut out);
            String::from_utf8(out).unwrap()
        };
        let record = |status| format!(r#"{{"id":"1","name":"n","status":"{status}","date":"2026-01-31"}}"#);
        let corrected = entry(Action::Corrected, "a", "b");
        assert_eq!(
            written(&corrected, false),
            format!(
                r#"{{"at":"t","action":"corrected","before":{},"after":{},"reason":"why","by":null,"address":"::1","request_id":"r"}}"#,
                record("a"),
                record("b")
            )
        );
        assert!(written(&corrected, true).contains(r#","action":"corrected","id":"1","date":"2026-01-31","before""#));
        assert_eq!(
            written(&corrected.creation(), false),
            format!(
                r#"{{"at":"c","action":"created","before":null,"after":{},"reason":null,"by":null,"address":null,"request_id":null}}"#,
                record("a")
            )
        );
    }
}
