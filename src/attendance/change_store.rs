//! Corrections, deletions and erasures in PostgreSQL.
//!
//! Policy: a change and its entry in the history are one statement, so that neither exists without the other. A change names the content that it
//! replaces: if another change was faster, it changes nothing, and its caller decides again. So no change is lost, what a client required of the
//! record (`If-Match`) holds at the moment of the change, and no transaction waits for a client.

use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::Type;

use super::answer::Content;
use super::correction::{Correction, Deletion};
use super::date::Date;
use super::error::Error;
use super::origin::Origin;
use super::record::{RecordFormat, StoredRecord};
use super::record_change::{CHANGE_COLUMNS, CURRENT_COLUMNS, ErasedCounts, Erasure, RecordChange};
use super::statement::{date as day_of, text};
use super::store::Store;
use crate::database::{Lease, Parameter, QueryError};

const SELECT_CURRENT: &str = "SELECT id, name, status, date FROM records WHERE id = $1 AND date = $2 LIMIT 1";
const CORRECT: &str = "\
    WITH changed AS (UPDATE records SET name = $3, status = $4 WHERE id = $1 AND date = $2 \
        AND name IS NOT DISTINCT FROM $5 AND status IS NOT DISTINCT FROM $6 RETURNING id, date, created_at, created_by) \
    INSERT INTO record_changes (changed_at, id, date, action, before, after, reason, actor, address, request_id, created_at, created_by) \
    SELECT clock_timestamp(), id, date, 'corrected', jsonb_build_object('name', $5::text, 'status', $6::text), \
        jsonb_build_object('name', $3::text, 'status', $4::text), $7, $8, $9, $10, created_at, created_by FROM changed RETURNING sequence";
const DELETE: &str = "\
    WITH deleted AS (DELETE FROM records WHERE id = $1 AND date = $2 \
        AND name IS NOT DISTINCT FROM $3 AND status IS NOT DISTINCT FROM $4 RETURNING id, date, created_at, created_by) \
    INSERT INTO record_changes (changed_at, id, date, action, before, reason, actor, address, request_id, created_at, created_by) \
    SELECT clock_timestamp(), id, date, 'deleted', jsonb_build_object('name', $3::text, 'status', $4::text), \
        $5, $6, $7, $8, created_at, created_by FROM deleted RETURNING sequence";

/// Takes a person out of the accounts and the audit: how many accounts it had, and the keys of their credentials.
const ERASE_ACCOUNTS: &str = "SELECT linked, credentials FROM attendance_api.erase_accounts($1, $2, $3)";

/// Entries of one record's history that are read; the oldest ones of a longer history are left out.
const MAX_HISTORY: usize = 10_000;

/// A record as it is in the table.
#[derive(Debug)]
pub(super) struct CurrentRecord {
    id: String,
    name: Option<String>,
    status: Option<String>,
    date: Date,
}

impl CurrentRecord {
    /// The answer that shows the record.
    pub(super) fn content(&self, format: RecordFormat) -> Content {
        record_content(&self.id, self.name.as_deref(), self.status.as_deref(), self.date, format)
    }

    /// The answer that shows the record after a correction.
    pub(super) fn corrected_content(&self, correction: &Correction, format: RecordFormat) -> Content {
        record_content(&self.id, Some(&correction.name), Some(&correction.status), self.date, format)
    }

    /// Whether a correction changes nothing.
    pub(super) fn equals(&self, correction: &Correction) -> bool {
        self.name.as_ref() == Some(&correction.name) && self.status.as_ref() == Some(&correction.status)
    }
}

fn record_content(id: &str, name: Option<&str>, status: Option<&str>, date: Date, format: RecordFormat) -> Content {
    let mut body = Vec::with_capacity(192);
    StoredRecord { id: Some(id), name, status, date: Some(date) }.write_json(format, &mut body);
    body.push(b'\n');
    Content::new(body)
}

impl Store {
    /// The record of an employee and day, from the table.
    pub(super) async fn current(&self, id: &str, day: Date, deadline: Instant) -> Result<Option<CurrentRecord>, Error> {
        let rows = self.read(SELECT_CURRENT, &[text(&id), day_of(&day)], &self.durations.change, deadline).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let read = || -> Result<CurrentRecord, tokio_postgres::Error> {
            let StoredRecord { name, status, .. } = StoredRecord::from_row(row)?;
            let owned = |text: Option<&str>| text.map(str::to_owned);
            Ok(CurrentRecord { id: row.try_get(0)?, name: owned(name), status: owned(status), date: day })
        };
        Ok(Some(read().map_err(QueryError::statement)?))
    }

    /// Corrects a record if it still has the content of `current`; false if it has not.
    pub(super) async fn correct(
        &self,
        current: &CurrentRecord,
        Correction { id, date, name, status, reason }: &Correction,
        origin: &Origin,
        deadline: Instant,
    ) -> Result<bool, Error> {
        let Origin { actor, address, request_id } = origin;
        let parameters = [
            text(id),
            day_of(date),
            text(name),
            text(status),
            text(&current.name),
            text(&current.status),
            text(reason),
            text(actor),
            text(address),
            text(request_id),
        ];
        Ok(!self.change(CORRECT, &parameters, &self.durations.change, deadline).await?.is_empty())
    }

    /// Deletes a record if it still has the content of `current`; false if it has not.
    pub(super) async fn delete(
        &self,
        current: &CurrentRecord,
        Deletion { id, date, reason }: &Deletion,
        origin: &Origin,
        deadline: Instant,
    ) -> Result<bool, Error> {
        let Origin { actor, address, request_id } = origin;
        let parameters = [
            text(id),
            day_of(date),
            text(&current.name),
            text(&current.status),
            text(reason),
            text(actor),
            text(address),
            text(request_id),
        ];
        Ok(!self.change(DELETE, &parameters, &self.durations.change, deadline).await?.is_empty())
    }

    /// The changes of a record, oldest first, and the record itself, if there is one, at their end; as of one moment.
    pub(super) async fn history(&self, id: &str, day: Date, deadline: Instant) -> Result<Vec<RecordChange>, Error> {
        let sql = format!(
            "(SELECT {CHANGE_COLUMNS} FROM record_changes WHERE id = $1 AND date = $2 ORDER BY sequence DESC LIMIT {MAX_HISTORY}) \
             UNION ALL (SELECT {CURRENT_COLUMNS} FROM records WHERE id = $1 AND date = $2 LIMIT 1)"
        );
        let rows = self.read(&sql, &[text(&id), day_of(&day)], &self.durations.history, deadline).await?;
        let entries: Result<Vec<_>, _> = rows.iter().map(RecordChange::from_row).collect();
        let mut entries = entries.map_err(QueryError::statement)?;
        entries.sort_by_key(|entry| entry.sequence.unwrap_or(i64::MAX));
        Ok(entries)
    }

    /// The name of an employee in the directory.
    pub(super) async fn directory_name(&self, id: &str) -> Result<Option<String>, Error> {
        let sql = "SELECT name FROM employees WHERE id = $1";
        let rows = self.read_rows(sql, &[text(&id)]).await?;
        let name = rows.first().map(|row| row.try_get(0)).transpose();
        Ok(name.map_err(QueryError::statement)?)
    }

    /// Erases a person, and leaves one entry that does not name it, unless there was nothing to erase. `account` is the number of the account that asks for
    /// it, for the audit.
    pub(super) async fn erase(
        &self,
        id: &str,
        origin: &Origin,
        account: Option<i64>,
        deadline: Instant,
    ) -> Result<Erasure, Error> {
        let mut lease = self.pool.lease(deadline).await?;
        let timer = self.durations.change.start_timer();
        let outcome = timeout_at(deadline, erase(&mut lease, id, origin, account)).await;
        let outcome = lease.finish(outcome);
        drop(timer);
        self.note_disk(outcome.map_err(Error::from))
    }
}

/// The statements of an erasure, in one transaction.
///
/// The first ones lock the person: creates that must find it in the directory wait, and changes that are in progress have ended when its records
/// are deleted. The history is deleted by a later statement, which sees the entries of those changes. The accounts, which exist whether requests need
/// credentials or not, are the last: what changes them locks nothing of the records.
async fn erase(
    lease: &mut Lease<'_>,
    id: &str,
    Origin { actor, address, .. }: &Origin,
    account: Option<i64>,
) -> Result<Erasure, tokio_postgres::Error> {
    let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
    let person = [text(&id)];
    lease.begin().await?;
    lease.execute("SELECT FROM employees WHERE id = $1 FOR UPDATE", &person).await?;
    let records = count(lease.execute("DELETE FROM records WHERE id = $1", &person).await?);
    let changes = count(lease.execute("DELETE FROM record_changes WHERE id = $1", &person).await?);
    let employees = count(lease.execute("DELETE FROM employees WHERE id = $1", &person).await?);
    if records + changes + employees > 0 {
        let entry = "INSERT INTO record_changes (action, before, actor) \
            VALUES ('erased', jsonb_build_object('records', $1::bigint, 'changes', $2::bigint, 'employees', $3::bigint), $4)";
        let counts = [&records, &changes, &employees].map(|count| -> Parameter<'_> { (count, Type::INT8) });
        let parameters = counts.into_iter().chain([text(actor)]).collect::<Vec<_>>();
        lease.execute(entry, &parameters).await?;
    }
    let asking: Parameter<'_> = (&account, Type::INT8);
    let rows = lease.query(ERASE_ACCOUNTS, &[text(&id), asking, text(address)]).await?;
    let (accounts, credentials) = match rows.first() {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => Default::default(),
    };
    lease.commit().await?;
    Ok(Erasure { counts: ErasedCounts { records, changes, employees }, accounts, credentials })
}
