//! An account's own sessions and password.
//!
//! Policy: what ends is deleted, so that nothing can bring it back. The key of each deleted credential is ended in the cache before the change is acknowledged.

use std::net::IpAddr;

use serde_json::json;
use tokio::time::timeout_at;
use tokio_postgres::Row;

use super::Access;
use super::audit::AuditAction;
use super::audit_log::{Entry, write};
use super::error::Error;
use super::login::Attempt;
use super::moment::{millis_sql, timestamp};
use super::password;
use super::principal::{AccountId, Actor, Principal};
use super::session::SessionInfo;
use super::store::{Abort, keys, number, seconds, text};
use super::throttle::Network;
use crate::database::{Lease, QueryError};

const DELETE: &str = "DELETE FROM attendance_api.sessions WHERE id = $1 AND account = $2 RETURNING key";
const DELETE_OTHERS: &str =
    "DELETE FROM attendance_api.sessions WHERE account = $1 AND id IS DISTINCT FROM $2 RETURNING key";
const SET_PASSWORD: &str = "UPDATE attendance_api.accounts SET password_hash = $2 WHERE id = $1 AND password_hash = $3";

impl Access {
    /// Ends the session of the credential.
    ///
    /// # Errors
    /// [`Error::UnknownSession`] if it has ended, or the credential is a token; [`Error::Unconfirmed`]; or when the database fails.
    pub async fn logout(&self, principal: &Principal, address: IpAddr) -> Result<(), Error> {
        let id = principal.session().ok_or(Error::UnknownSession)?;
        self.delete_session(principal, id, address, AuditAction::Logout).await
    }

    /// Ends one of the account's own sessions.
    ///
    /// # Errors
    /// [`Error::UnknownSession`] if the account has none with this number; [`Error::Unconfirmed`]; or when the database fails.
    pub async fn end_session(&self, principal: &Principal, id: i64, address: IpAddr) -> Result<(), Error> {
        self.delete_session(principal, id, address, AuditAction::SessionEnded).await
    }

    /// The account's own sessions, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions(&self, principal: &Principal) -> Result<Vec<SessionInfo>, Error> {
        // As in a look-up: `auth.session_max` may have become shorter since.
        let end = "least(expires_at, created_at + make_interval(secs => $3))";
        let sql = format!(
            "SELECT id, {created_at}, {last_seen}, {expires_at}, address, user_agent FROM attendance_api.sessions \
             WHERE account = $1 AND {end} > clock_timestamp() AND last_seen > clock_timestamp() - make_interval(secs => $2) \
             ORDER BY id DESC",
            created_at = millis_sql("created_at"),
            last_seen = millis_sql("last_seen"),
            expires_at = millis_sql(end),
        );
        let (idle, max) = (self.settings.session_idle.as_secs_f64(), self.settings.session_max.as_secs_f64());
        let rows = self.store.read(&sql, &[number(&principal.account), seconds(&idle), seconds(&max)]).await?;
        let read = |row: &Row| -> Result<SessionInfo, tokio_postgres::Error> {
            let id = row.try_get(0)?;
            Ok(SessionInfo {
                id,
                created_at: timestamp(row.try_get(1)?),
                last_seen: timestamp(row.try_get(2)?),
                expires_at: timestamp(row.try_get(3)?),
                address: row.try_get(4)?,
                user_agent: row.try_get(5)?,
                is_current: principal.session() == Some(id),
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>().map_err(QueryError::statement)?)
    }

    /// Changes the account's own password, and ends all of its sessions but the one that asks. Its tokens stay.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], [`Error::Password`], [`Error::Throttled`], [`Error::Busy`], [`Error::Unconfirmed`], or when the database fails.
    pub async fn change_password(
        &self,
        principal: &Principal,
        old: &str,
        new: &str,
        address: IpAddr,
    ) -> Result<(), Error> {
        password::check_length(new)?;
        self.refuse_known(&Network::of(address), address).await?;
        let attempt = Attempt::of_account(principal.account, address);
        let hash = self.password_hash(principal.account).await?;
        let turn = self.turn(address).await?;
        let (is_right, turn) = self.try_password(&attempt, turn, old, &hash).await?;
        if !is_right {
            let error = self.fail(&attempt, Error::WrongPassword).await;
            drop(turn);
            return Err(error);
        }
        let new = turn.hash_new(new.to_owned(), principal.username.to_string()).await?;
        let mut change = self.begin_change().await?;
        let changing = set_password(&mut change.lease, principal, &hash, &new, Actor::of(principal, address));
        let outcome = timeout_at(change.deadline, changing).await;
        change.finish(outcome, Vec::as_slice).await.map(drop)
    }

    async fn password_hash(&self, account: AccountId) -> Result<String, Error> {
        let sql = "SELECT password_hash FROM attendance_api.accounts WHERE id = $1";
        let rows = self.store.read(sql, &[number(&account)]).await?;
        let hash = rows.first().map(|row| row.try_get(0)).transpose().map_err(QueryError::statement)?;
        hash.ok_or(Error::WrongPassword)
    }

    async fn delete_session(
        &self,
        principal: &Principal,
        id: i64,
        address: IpAddr,
        action: AuditAction,
    ) -> Result<(), Error> {
        let entry = Entry::by(Actor::of(principal, address), action, principal.account, json!({ "session": id }));
        let mut change = self.begin_change().await?;
        let outcome = timeout_at(change.deadline, delete(&mut change.lease, principal.account, id, &entry)).await;
        change.finish(outcome, Vec::as_slice).await.map(drop)
    }
}

/// Deletes a session; returns its key.
async fn delete(lease: &mut Lease<'_>, account: AccountId, id: i64, entry: &Entry) -> Result<Vec<String>, Abort> {
    lease.begin().await?;
    let keys = keys(&lease.query(DELETE, &[number(&id), number(&account)]).await?)?;
    if keys.is_empty() {
        return Err(Error::UnknownSession.into());
    }
    write(lease, entry).await?;
    lease.commit().await?;
    Ok(keys)
}

/// Sets a password if it is still the old one; returns the keys of the sessions that end.
async fn set_password(
    lease: &mut Lease<'_>,
    principal: &Principal,
    old: &str,
    new: &str,
    actor: Actor,
) -> Result<Vec<String>, Abort> {
    let account = principal.account;
    lease.begin().await?;
    if lease.execute(SET_PASSWORD, &[number(&account), text(&new), text(&old)]).await? == 0 {
        return Err(Error::WrongPassword.into());
    }
    let keys = end_sessions(lease, account, principal.session()).await?;
    write(lease, &Entry::by(actor, AuditAction::PasswordChanged, account, json!({}))).await?;
    lease.commit().await?;
    Ok(keys)
}

/// Ends the sessions of an account but one; returns their keys.
pub(super) async fn end_sessions(
    lease: &Lease<'_>,
    account: AccountId,
    kept: Option<i64>,
) -> Result<Vec<String>, tokio_postgres::Error> {
    keys(&lease.query(DELETE_OTHERS, &[number(&account), number(&kept)]).await?)
}
