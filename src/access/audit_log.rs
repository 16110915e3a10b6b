//! Writing and reading the audit.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::Access;
use super::audit::{AuditAction, AuditEntry, AuditPage, AuditQuery};
use super::error::Error;
use super::moment::{millis_sql, timestamp};
use super::principal::{AccountId, Actor};
use super::store::{Store, number, text, truth};
use super::username;
use crate::database::{ConnectionPool, Lease, Parameter, QueryError};
use crate::telemetry::metrics::Metrics;

/// The most entries of one page.
const MAX_PAGE: usize = 1000;

const WRITE: &str = "INSERT INTO attendance_api.audit (action, actor, account, address, details) VALUES ($1, $2, $3, $4, $5::text::jsonb)";

/// Whether the settings are others than those of the last entry, or, if access control is on, there is no entry.
const SETTINGS_DIFFER: &str = "coalesce((SELECT details <> $1::text::jsonb FROM attendance_api.audit \
    WHERE action = 'settings_changed' ORDER BY id DESC LIMIT 1), $2::boolean)";

/// An entry to be written.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) action: AuditAction,
    /// The account that did it.
    pub(super) actor: Option<AccountId>,
    /// The account that it happened to.
    pub(super) account: Option<AccountId>,
    /// The address of the client.
    pub(super) address: Option<IpAddr>,
    /// A JSON object.
    pub(super) details: Value,
}

impl Entry {
    pub(super) fn new(action: AuditAction) -> Self {
        Self { action, actor: None, account: None, address: None, details: json!({}) }
    }

    /// What an actor did to an account.
    pub(super) fn by(actor: Actor, action: AuditAction, account: AccountId, details: Value) -> Self {
        Self { action, actor: actor.account, account: Some(account), address: actor.address, details }
    }
}

/// The texts of an entry, which its parameters borrow.
struct Texts {
    action: &'static str,
    address: Option<String>,
    details: String,
}

impl Texts {
    fn of(entry: &Entry) -> Self {
        Self {
            action: entry.action.as_str(),
            address: entry.address.map(|address| address.to_canonical().to_string()),
            details: entry.details.to_string(),
        }
    }

    fn parameters<'a>(&'a self, entry: &'a Entry) -> [Parameter<'a>; 5] {
        [text(&self.action), number(&entry.actor), number(&entry.account), text(&self.address), text(&self.details)]
    }
}

/// Writes an entry in a transaction.
pub(super) async fn write(lease: &Lease<'_>, entry: &Entry) -> Result<(), tokio_postgres::Error> {
    let texts = Texts::of(entry);
    lease.execute(WRITE, &texts.parameters(entry)).await.map(drop)
}

/// Writes to the audit that the settings of access are others than those of the last entry about them. Where none has been written, access control
/// was never on, and that it is off is no change.
///
/// # Errors
/// When the database fails.
pub async fn note_settings(
    pool: Arc<ConnectionPool>,
    metrics: &Metrics,
    is_required: bool,
    settings: &[(&str, String)],
) -> Result<(), Error> {
    let store = Store::new(pool, metrics.query_duration.with_label_values(&["access"]));
    let details: serde_json::Map<String, Value> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.clone()))).collect();
    let details = Value::Object(details).to_string();
    // Read first: a database that accepts no changes refuses an INSERT that inserts nothing, too.
    let differ = format!("SELECT {SETTINGS_DIFFER}");
    let rows = store.read(&differ, &[text(&details), truth(&is_required)]).await?;
    let differ = rows.first().map(|row| row.try_get(0)).transpose().map_err(QueryError::statement)?;
    if differ == Some(true) {
        // Another instance may have been faster.
        let sql = format!(
            "INSERT INTO attendance_api.audit (action, details) SELECT 'settings_changed', $1::text::jsonb WHERE {SETTINGS_DIFFER}"
        );
        store.change(&sql, &[text(&details), truth(&is_required)]).await?;
    }
    Ok(())
}

impl Access {
    /// Entries of the audit, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit(&self, query: AuditQuery) -> Result<AuditPage, Error> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        // No entry is older than 1970, and PostgreSQL cannot represent each moment before that.
        let micros = |moment: Option<jiff::Timestamp>| moment.map(|moment| moment.as_microsecond().max(0));
        let (from, to) = (micros(query.from), micros(query.to));
        let by = query.by.as_deref().map(|name| username::canonical(name).unwrap_or_default());
        let action = query.action.map(AuditAction::as_str);
        let sql = format!(
            "SELECT audit.id, {at}, audit.action, audit.actor, actors.username, audit.account, accounts.username, audit.address, \
                audit.details::text \
             FROM attendance_api.audit LEFT JOIN attendance_api.accounts AS actors ON actors.id = audit.actor \
                LEFT JOIN attendance_api.accounts ON accounts.id = audit.account \
             WHERE ($1::bigint IS NULL OR audit.at >= 'epoch'::timestamptz + $1 * interval '1 microsecond') \
                AND ($2::bigint IS NULL OR audit.at < 'epoch'::timestamptz + $2 * interval '1 microsecond') \
                AND ($3::text IS NULL OR actors.username = $3) AND ($4::text IS NULL OR audit.action = $4) \
                AND ($5::bigint IS NULL OR audit.id < $5) \
             ORDER BY audit.id DESC LIMIT $6",
            at = millis_sql("audit.at")
        );
        let parameters: [Parameter<'_>; 6] =
            [(&from, Type::INT8), (&to, Type::INT8), text(&by), text(&action), number(&query.after), number(&one_more)];
        let rows = self.store.read(&sql, &parameters).await?;
        let entries: Result<Vec<_>, _> = rows.iter().take(limit).map(entry).collect();
        let entries = entries.map_err(QueryError::statement)?;
        let next = entries.last().filter(|_| rows.len() > limit).map(|entry| entry.id);
        Ok(AuditPage { entries, next })
    }
}

fn entry(row: &Row) -> Result<AuditEntry, tokio_postgres::Error> {
    Ok(AuditEntry {
        id: row.try_get(0)?,
        at: timestamp(row.try_get(1)?),
        action: row.try_get(2)?,
        by: row.try_get(3)?,
        by_name: row.try_get(4)?,
        account: row.try_get(5)?,
        account_name: row.try_get(6)?,
        address: row.try_get(7)?,
        details: row.try_get(8)?,
    })
}
