//! Periodic maintenance: removes expired sessions and tokens, old counts of failed logins and old entries of the audit, and counts sessions.
//!
//! Policy: a look-up refuses an expired row from the moment at which it expires; its removal only frees space, and may come later. Each round removes a bounded
//! number of rows, and skips those that another instance is removing. An error is logged, and the next round tries again.

use std::time::Duration;

use prometheus::IntGauge;
use tokio::task::JoinHandle;

use super::store::{Store, number, seconds};
use crate::config::Auth;
use crate::database::QueryError;

/// Time between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(60);
/// Rows of one table that a round removes.
const MAX_REMOVED: i64 = 5000;
/// Statements of a round that forget counts of failed logins: they remove more than a flood of logins can add until the next round.
const MAX_FORGETTING: usize = 200;

const REMOVE_SESSIONS: &str = "DELETE FROM attendance_api.sessions WHERE id IN (SELECT id FROM attendance_api.sessions \
    WHERE expires_at <= clock_timestamp() OR last_seen <= clock_timestamp() - make_interval(secs => $1) LIMIT $2 FOR UPDATE SKIP LOCKED)";
/// An expired token remains visible to its owner for a month.
const REMOVE_TOKENS: &str = "DELETE FROM attendance_api.tokens WHERE id IN (SELECT id FROM attendance_api.tokens \
    WHERE expires_at <= clock_timestamp() - interval '30 days' LIMIT $1 FOR UPDATE SKIP LOCKED)";
/// The role of the requests may not delete entries of the audit; the function may, if they are old.
const REMOVE_AUDIT: &str = "SELECT attendance_api.remove_audit($1, $2)";
const COUNT_SESSIONS: &str = "SELECT count(*) FROM attendance_api.sessions \
    WHERE expires_at > clock_timestamp() AND last_seen > clock_timestamp() - make_interval(secs => $1)";

/// Starts the rounds, which never end by themselves.
pub(super) fn start(store: Store, settings: &Auth, sessions: IntGauge) -> JoinHandle<()> {
    let idle = settings.session_idle.as_secs_f64();
    let audit_keep = settings.audit_keep.as_secs_f64();
    tokio::spawn(async move {
        loop {
            if let Err(error) = round(&store, idle, &sessions).await {
                tracing::warn!(%error, "expired sessions were not removed; it is tried again in a minute");
            }
            if let Err(error) = remove_audit(&store, audit_keep).await {
                tracing::warn!(%error, "old entries of the audit were not removed; it is tried again in a minute");
            }
            tokio::time::sleep(ROUND_INTERVAL).await;
        }
    })
}

async fn remove_audit(store: &Store, keep: f64) -> Result<(), QueryError> {
    let rows = store.change(REMOVE_AUDIT, &[seconds(&keep), number(&MAX_REMOVED)]).await?;
    let removed: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose().map_err(QueryError::statement)?;
    if let Some(removed @ 1..) = removed {
        tracing::info!(removed, "entries of the audit are older than auth.audit_keep and were removed");
    }
    Ok(())
}

async fn round(store: &Store, idle: f64, sessions: &IntGauge) -> Result<(), QueryError> {
    store.change(REMOVE_SESSIONS, &[seconds(&idle), number(&MAX_REMOVED)]).await?;
    store.change(REMOVE_TOKENS, &[number(&MAX_REMOVED)]).await?;
    for _ in 0..MAX_FORGETTING {
        if !store.forget_failures().await? {
            break;
        }
    }
    let rows = store.read(COUNT_SESSIONS, &[seconds(&idle)]).await?;
    if let Some(row) = rows.first() {
        sessions.set(row.try_get(0).map_err(QueryError::statement)?);
    }
    Ok(())
}
