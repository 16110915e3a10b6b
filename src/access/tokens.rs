//! Managing tokens.
//!
//! Policy: a token is made for the account that asks, and permits no more than the credential with which it asks: not the account's role, if that credential is a
//! token which has less, and no longer than that token, whether that expires or is revoked. What a token permits is decided at each look-up by the role that its
//! owner has then. Making and revoking lock the owner, so that no token is made from one that is being revoked.

use std::net::IpAddr;

use serde_json::json;
use tokio::time::timeout_at;
use tokio_postgres::Row;

use super::Access;
use super::audit::AuditAction;
use super::audit_log::{Entry, write};
use super::credential::{CredentialKind, IssuedCredential};
use super::error::Error;
use super::moment::{millis_sql, timestamp};
use super::principal::{AccountId, Actor, CredentialId, Principal};
use super::role::{Permission, Role};
use super::store::{Abort, keys, number, text};
use super::token::{CreatedToken, MAX_TOKEN_NAME, MAX_TOKENS, NewToken, TokenInfo, TokenPage, TokenScope};
use crate::database::{Lease, QueryError};

/// The most tokens of one page.
const MAX_PAGE: usize = 1000;
/// Tokens that can stand above each other, each made with the one above it; the table has the same limit.
const MAX_DEPTH: i16 = 8;

const LOCK: &str = "SELECT role, employee FROM attendance_api.accounts WHERE id = $1 AND NOT disabled FOR UPDATE";
const COUNT: &str = "SELECT count(*) FROM attendance_api.tokens WHERE account = $1";
/// Whether the token that asks for another one ends before that, and how many are above it; no row if it has been revoked.
const PARENT: &str = "SELECT expires_at IS NOT NULL AND ($2::bigint IS NULL OR \
    expires_at < 'epoch'::timestamptz + $2 * interval '1 millisecond'), depth FROM attendance_api.tokens WHERE id = $1";
const INSERT: &str = "INSERT INTO attendance_api.tokens (key, account, name, role, expires_at, parent, depth) \
    SELECT $1::text, $2::bigint, $3::text, $4::text, moment, $6::bigint, $7::bigint \
    FROM (SELECT 'epoch'::timestamptz + $5::bigint * interval '1 millisecond' AS moment) AS ends \
    WHERE moment IS NULL OR moment > clock_timestamp() RETURNING id";
/// Locks the owner of a token.
const LOCK_OWNER: &str = "SELECT id FROM attendance_api.accounts WHERE id = (\
    SELECT account FROM attendance_api.tokens WHERE id = $1 AND ($2::bigint IS NULL OR account = $2)) FOR UPDATE";
/// Deletes a token and all that were made with it, directly or not.
const DELETE: &str = "WITH RECURSIVE family AS (SELECT id FROM attendance_api.tokens WHERE id = $1 \
        UNION SELECT child.id FROM attendance_api.tokens AS child JOIN family ON child.parent = family.id) \
    DELETE FROM attendance_api.tokens WHERE id IN (SELECT id FROM family) RETURNING key, id, name";

/// The columns of a token that is shown.
fn select(rest: &str) -> String {
    format!(
        "SELECT tokens.id, tokens.name, accounts.username, tokens.role, {}, {}, {} FROM attendance_api.tokens \
         JOIN attendance_api.accounts ON accounts.id = tokens.account {rest}",
        millis_sql("tokens.created_at"),
        millis_sql("tokens.expires_at"),
        millis_sql("tokens.last_used")
    )
}

impl Access {
    /// Tokens, newest first, and whether there are more. Those of all accounts are for admins.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tokens(&self, principal: &Principal, page: TokenPage) -> Result<(Vec<TokenInfo>, bool), Error> {
        let is_admin = principal.permits(Permission::Administer);
        let owner = Some(principal.account).filter(|_| page.scope == TokenScope::Own || !is_admin);
        self.list_tokens(owner, page.after, page.limit).await
    }

    /// The tokens of all accounts, newest first, for a command on the machine.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all_tokens(&self) -> Result<Vec<TokenInfo>, Error> {
        let mut tokens: Vec<TokenInfo> = Vec::new();
        loop {
            let after = tokens.last().map(|token| token.id);
            let (page, has_more) = self.list_tokens(None, after, MAX_PAGE).await?;
            tokens.extend(page);
            if !has_more {
                return Ok(tokens);
            }
        }
    }

    async fn list_tokens(
        &self,
        owner: Option<AccountId>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<TokenInfo>, bool), Error> {
        let limit = limit.clamp(1, MAX_PAGE);
        let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let sql = select(
            "WHERE ($1::bigint IS NULL OR tokens.account = $1) AND ($2::bigint IS NULL OR tokens.id < $2) \
             ORDER BY tokens.id DESC LIMIT $3",
        );
        let rows = self.store.read(&sql, &[number(&owner), number(&after), number(&one_more)]).await?;
        let tokens: Result<Vec<_>, _> = rows.iter().take(limit).map(token).collect();
        Ok((tokens.map_err(QueryError::statement)?, rows.len() > limit))
    }

    /// Makes a token for the account itself.
    ///
    /// # Errors
    /// [`Error::RoleExceeded`], [`Error::EmployeeUnlinked`], [`Error::Expired`], [`Error::OutlivesToken`], [`Error::TokenTooDeep`],
    /// [`Error::TooManyTokens`], what is wrong with the name, or when the database fails.
    pub async fn create_token(
        &self,
        principal: &Principal,
        new: NewToken,
        address: IpAddr,
    ) -> Result<CreatedToken, Error> {
        if !principal.role.may_issue(new.role) {
            return Err(Error::RoleExceeded { owner: principal.role, token: new.role });
        }
        let parent = match principal.credential {
            CredentialId::Token(id) => Some(id),
            CredentialId::Session(_) => None,
        };
        self.issue_token(Actor::of(principal, address), principal.account, new, parent).await
    }

    /// Makes a token for an account, for a command on the machine.
    ///
    /// # Errors
    /// [`Error::UnknownAccount`], and those of [`Access::create_token`].
    pub async fn create_token_of(&self, username: &str, new: NewToken) -> Result<CreatedToken, Error> {
        let account = self.account(username).await?;
        if account.is_disabled {
            return Err(Error::AccountDisabled(account.username));
        }
        self.issue_token(Actor::COMMAND, account.id, new, None).await
    }

    async fn issue_token(
        &self,
        actor: Actor,
        owner: AccountId,
        new: NewToken,
        parent: Option<i64>,
    ) -> Result<CreatedToken, Error> {
        check_name(&new.name)?;
        let token = IssuedCredential::issue(CredentialKind::Token)?;
        let insert = Insert { actor, owner, new: &new, parent, key: token.credential().key() };
        let deadline = self.store.deadline();
        let mut lease = self.store.lease(deadline).await?;
        let outcome = timeout_at(deadline, insert.run(&mut lease)).await;
        let id = self.store.finish(lease, deadline, outcome).await?;
        let rows = self.store.read(&select("WHERE tokens.id = $1"), &[number(&id)]).await?;
        let info = rows.first().map(self::token).transpose().map_err(QueryError::statement)?;
        Ok(CreatedToken { token, info: info.ok_or(Error::UnknownToken)? })
    }

    /// Revokes one of the account's own tokens, with all that were made with it; as an admin, any.
    ///
    /// # Errors
    /// [`Error::UnknownToken`], [`Error::Unconfirmed`], or when the database fails.
    pub async fn revoke_token(&self, principal: &Principal, id: i64, address: IpAddr) -> Result<(), Error> {
        let owner = Some(principal.account).filter(|_| !principal.permits(Permission::Administer));
        self.delete_token(Actor::of(principal, address), id, owner).await
    }

    /// Revokes a token with all that were made with it, for a command on the machine.
    ///
    /// # Errors
    /// [`Error::UnknownToken`], [`Error::Unconfirmed`], or when the database fails.
    pub async fn revoke_any_token(&self, id: i64) -> Result<(), Error> {
        self.delete_token(Actor::COMMAND, id, None).await
    }

    async fn delete_token(&self, actor: Actor, id: i64, owner: Option<AccountId>) -> Result<(), Error> {
        let mut change = self.begin_change().await?;
        let outcome = timeout_at(change.deadline, delete(&mut change.lease, actor, id, owner)).await;
        change.finish(outcome, Vec::as_slice).await.map(drop)
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let field = |problem| Err(Error::Field { field: "name", problem });
    match name {
        "" => field("must not be empty"),
        name if name.chars().count() > MAX_TOKEN_NAME => field("is too long"),
        name if name.chars().any(char::is_control) => field("must not contain control characters"),
        _ => Ok(()),
    }
}

/// A token to be stored.
struct Insert<'a> {
    actor: Actor,
    owner: AccountId,
    new: &'a NewToken,
    /// The token that asks.
    parent: Option<i64>,
    key: &'a str,
}

impl Insert<'_> {
    /// Returns its number.
    async fn run(&self, lease: &mut Lease<'_>) -> Result<i64, Abort> {
        lease.begin().await?;
        self.lock_owner(lease).await?;
        // A moment before 1970 has passed as well, and PostgreSQL cannot represent each of those.
        let expires_at = self.new.expires_at.map(|moment| moment.as_millisecond().max(0));
        let depth = match self.parent {
            Some(parent) => i64::from(depth_below(lease, parent, expires_at).await?),
            None => 0,
        };
        let role = self.new.role.as_str();
        let parameters = [
            text(&self.key),
            number(&self.owner),
            text(&self.new.name),
            text(&role),
            number(&expires_at),
            number(&self.parent),
            number(&depth),
        ];
        let inserted = lease.query(INSERT, &parameters).await?;
        let Some(row) = inserted.first() else { return Err(Error::Expired.into()) };
        let id = row.try_get(0)?;
        let details = json!({ "token": id, "name": self.new.name, "role": role });
        write(lease, &Entry::by(self.actor, AuditAction::TokenCreated, self.owner, details)).await?;
        lease.commit().await?;
        Ok(id)
    }

    /// Locks the account, which may have the token.
    async fn lock_owner(&self, lease: &Lease<'_>) -> Result<(), Abort> {
        let locked = lease.query(LOCK, &[number(&self.owner)]).await?;
        // The account was removed or disabled meanwhile.
        let Some(row) = locked.first() else { return Err(Error::UnknownToken.into()) };
        let owner = Role::parse(row.try_get(0)?).unwrap_or(Role::Metrics);
        if owner == Role::Metrics || !owner.may_issue(self.new.role) {
            return Err(Error::RoleExceeded { owner, token: self.new.role }.into());
        }
        if self.new.role == Role::Employee && row.try_get::<_, Option<&str>>(1)?.is_none() {
            return Err(Error::EmployeeUnlinked.into());
        }
        let counted = lease.query(COUNT, &[number(&self.owner)]).await?;
        let count: i64 = counted.first().map_or(Ok(0), |row| row.try_get(0))?;
        if count >= MAX_TOKENS {
            return Err(Error::TooManyTokens(count).into());
        }
        Ok(())
    }
}

/// How many tokens are above one that is made with `parent` and ends at this moment.
async fn depth_below(lease: &Lease<'_>, parent: i64, expires_at: Option<i64>) -> Result<i16, Abort> {
    let rows = lease.query(PARENT, &[number(&parent), number(&expires_at)]).await?;
    let Some(row) = rows.first() else { return Err(Error::UnknownToken.into()) };
    if row.try_get(0)? {
        return Err(Error::OutlivesToken.into());
    }
    match row.try_get::<_, i16>(1)? {
        depth if depth < MAX_DEPTH => Ok(depth + 1),
        _ => Err(Error::TokenTooDeep.into()),
    }
}

/// Deletes a token, of this owner if one is given, and all that were made with it; returns their keys.
async fn delete(lease: &mut Lease<'_>, actor: Actor, id: i64, owner: Option<AccountId>) -> Result<Vec<String>, Abort> {
    lease.begin().await?;
    let locked = lease.query(LOCK_OWNER, &[number(&id), number(&owner)]).await?;
    let Some(row) = locked.first() else { return Err(Error::UnknownToken.into()) };
    let owner: AccountId = row.try_get(0)?;
    let deleted = lease.query(DELETE, &[number(&id)]).await?;
    let (mut name, mut made_with_it) = (None, Vec::new());
    for row in &deleted {
        match row.try_get::<_, i64>(1)? {
            deleted if deleted == id => name = row.try_get::<_, Option<&str>>(2)?,
            other => made_with_it.push(other),
        }
    }
    let Some(name) = name else { return Err(Error::UnknownToken.into()) };
    made_with_it.sort_unstable();
    let mut details = json!({ "token": id, "name": name });
    if !made_with_it.is_empty() {
        details["made_with_it"] = json!(made_with_it);
    }
    write(lease, &Entry::by(actor, AuditAction::TokenRevoked, owner, details)).await?;
    let keys = keys(&deleted)?;
    lease.commit().await?;
    Ok(keys)
}

fn token(row: &Row) -> Result<TokenInfo, tokio_postgres::Error> {
    Ok(TokenInfo {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        owner: row.try_get(2)?,
        // A role that a newer version has made is shown as the one that can do least.
        role: Role::parse(row.try_get(3)?).unwrap_or(Role::Employee),
        created_at: timestamp(row.try_get(4)?),
        expires_at: row.try_get::<_, Option<i64>>(5)?.map(timestamp),
        last_used: row.try_get::<_, Option<i64>>(6)?.map(timestamp),
    })
}
