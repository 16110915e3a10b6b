//! Managing accounts.
//!
//! Policy: a change locks the account, and one that could take away the last admin locks all admins, in one order, so that two admins who demote each other at the
//! same time leave one. A disabled account loses its sessions and tokens, so that enabling it brings none back. A password that an admin sets
//! ends the sessions; tokens stay, because machines use them.

use serde_json::{Map, Value, json};
use tokio::time::timeout_at;
use tokio_postgres::Row;

use super::Access;
use super::account::{AccountChange, AccountInfo, AccountPage, NewAccount};
use super::audit::AuditAction;
use super::audit_log::{Entry, write};
use super::error::Error;
use super::moment::{millis_sql, timestamp};
use super::password;
use super::principal::{AccountId, Actor};
use super::role::Role;
use super::sessions::end_sessions;
use super::store::{Abort, keys, number, text, truth};
use super::username;
use crate::database::{Lease, QueryError};
use crate::peer_counts::Peer;

/// The longest id of an employee, in characters; that of records is no longer.
const MAX_EMPLOYEE: usize = 255;
/// The most accounts of one page.
const MAX_PAGE: usize = 1000;

const LOCK: &str = "SELECT id, role, employee, disabled FROM attendance_api.accounts WHERE username = $1 FOR UPDATE";
const LOCK_ADMINS: &str =
    "SELECT id FROM attendance_api.accounts WHERE role = 'admin' AND NOT disabled ORDER BY id FOR UPDATE";
const KEYS: &str = "SELECT key FROM attendance_api.sessions WHERE account = $1 \
    UNION ALL SELECT key FROM attendance_api.tokens WHERE account = $1";
const DELETE_TOKENS: &str = "DELETE FROM attendance_api.tokens WHERE account = $1 RETURNING key";
const UPDATE: &str = "UPDATE attendance_api.accounts SET role = $2, employee = $3, disabled = $4, \
    password_hash = coalesce($5, password_hash) WHERE id = $1";
const INSERT: &str = "INSERT INTO attendance_api.accounts (username, password_hash, role, employee) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (username) DO NOTHING RETURNING id";

/// The columns of an account that is shown.
fn select(rest: &str) -> String {
    format!(
        "SELECT id, username, role, employee, disabled, {}, {} FROM attendance_api.accounts {rest}",
        millis_sql("created_at"),
        millis_sql("last_login")
    )
}

impl Access {
    /// Whether there is an account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_accounts(&self) -> Result<bool, Error> {
        let rows = self.store.read("SELECT FROM attendance_api.accounts LIMIT 1", &[]).await?;
        Ok(!rows.is_empty())
    }

    /// Accounts by name, and whether there are more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts(&self, page: AccountPage) -> Result<(Vec<AccountInfo>, bool), Error> {
        let limit = page.limit.clamp(1, MAX_PAGE);
        let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let after = page.after.map(|name| name.to_ascii_lowercase());
        let sql = select("WHERE $1::text IS NULL OR username > $1 ORDER BY username LIMIT $2");
        let rows = self.store.read(&sql, &[text(&after), number(&one_more)]).await?;
        let accounts: Result<Vec<_>, _> = rows.iter().take(limit).map(account).collect();
        Ok((accounts.map_err(QueryError::statement)?, rows.len() > limit))
    }

    /// One account.
    ///
    /// # Errors
    /// [`Error::UnknownAccount`], or when the database fails.
    pub async fn account(&self, username: &str) -> Result<AccountInfo, Error> {
        let name = name_of(username)?;
        let rows = self.store.read(&select("WHERE username = $1"), &[text(&name)]).await?;
        let found = rows.first().map(account).transpose().map_err(QueryError::statement)?;
        found.ok_or_else(|| Error::UnknownAccount(username.to_owned()))
    }

    /// Makes an account.
    ///
    /// # Errors
    /// What is wrong with it, [`Error::UsernameTaken`], [`Error::Busy`], or when the database fails.
    pub async fn create_account(&self, actor: Actor, new: NewAccount) -> Result<AccountInfo, Error> {
        let username = username::canonical(&new.username)?;
        check_role(new.role, new.employee.as_deref())?;
        password::check_length(&new.password)?;
        let hash = self.hash_new(actor, new.password, &username).await?;
        let deadline = self.store.deadline();
        let mut lease = self.store.lease(deadline).await?;
        let inserting = insert(&mut lease, actor, &username, &hash, new.role, new.employee.as_deref());
        let outcome = timeout_at(deadline, inserting).await;
        self.store.finish(lease, deadline, outcome).await?;
        self.account(&username).await
    }

    /// Changes an account.
    ///
    /// # Errors
    /// [`Error::UnknownAccount`], [`Error::LastAdmin`], [`Error::EmployeeUnlinked`], what is wrong with the change, [`Error::Unconfirmed`], or when the
    /// database fails.
    pub async fn update_account(
        &self,
        actor: Actor,
        username: &str,
        change: AccountChange,
    ) -> Result<AccountInfo, Error> {
        let name = name_of(username)?;
        let hash = match &change.password {
            Some(password) => {
                password::check_length(password)?;
                Some(self.hash_new(actor, password.clone(), &name).await?)
            }
            None => None,
        };
        let update = Update { actor, username: &name, change: &change, hash };
        let mut in_progress = self.begin_change().await?;
        let outcome = timeout_at(in_progress.deadline, update.run(&mut in_progress.lease)).await;
        in_progress.finish(outcome, Vec::as_slice).await?;
        self.account(&name).await
    }

    /// Removes an account with its sessions and tokens.
    ///
    /// # Errors
    /// [`Error::UnknownAccount`], [`Error::LastAdmin`], [`Error::Unconfirmed`], or when the database fails.
    pub async fn remove_account(&self, actor: Actor, username: &str) -> Result<(), Error> {
        let name = name_of(username)?;
        let mut in_progress = self.begin_change().await?;
        let outcome = timeout_at(in_progress.deadline, remove(&mut in_progress.lease, actor, &name)).await;
        in_progress.finish(outcome, Vec::as_slice).await.map(drop)
    }

    async fn hash_new(&self, actor: Actor, password: String, username: &str) -> Result<String, Error> {
        let peer = actor.address.map(Peer::of);
        let turn = self.hasher.turn(peer, self.store.deadline()).await?;
        turn.hash_new(password, username.to_owned()).await
    }
}

/// The stored form of a name that a caller looks for. A text that is no username names no account.
fn name_of(username: &str) -> Result<String, Error> {
    username::canonical(username).map_err(|_| Error::UnknownAccount(username.to_owned()))
}

fn check_role(role: Role, employee: Option<&str>) -> Result<(), Error> {
    match (role, employee) {
        (Role::Metrics, _) => return Err(Error::TokenRole(role)),
        (Role::Employee, None) => return Err(Error::EmployeeMissing),
        _ => {}
    }
    let field = |problem| Err(Error::Field { field: "employee_id", problem });
    match employee {
        Some("") => field("must not be empty"),
        Some(id) if id.chars().count() > MAX_EMPLOYEE => field("is too long"),
        Some(id) if id.contains('\0') => field("must not contain the character NUL"),
        _ => Ok(()),
    }
}

async fn insert(
    lease: &mut Lease<'_>,
    actor: Actor,
    username: &str,
    hash: &str,
    role: Role,
    employee: Option<&str>,
) -> Result<(), Abort> {
    lease.begin().await?;
    let role = role.as_str();
    let inserted = lease.query(INSERT, &[text(&username), text(&hash), text(&role), text(&employee)]).await?;
    let Some(row) = inserted.first() else { return Err(Error::UsernameTaken(username.to_owned()).into()) };
    let details = json!({ "role": role, "employee_id": employee });
    write(lease, &Entry::by(actor, AuditAction::AccountCreated, row.try_get(0)?, details)).await?;
    Ok(lease.commit().await?)
}

/// An account that is locked.
struct Locked {
    id: AccountId,
    role: Role,
    employee: Option<String>,
    is_disabled: bool,
}

/// Locks all admins and then the account; returns also whether there is another admin. So a change of any account waits for changes of admins, which are rare.
async fn lock(lease: &Lease<'_>, username: &str) -> Result<(Locked, bool), Abort> {
    let admins = lease.query(LOCK_ADMINS, &[]).await?;
    let locked = lease.query(LOCK, &[text(&username)]).await?;
    let Some(row) = locked.first() else { return Err(Error::UnknownAccount(username.to_owned()).into()) };
    let id: AccountId = row.try_get(0)?;
    // A role that a newer version has made includes nothing.
    let role = Role::parse(row.try_get(1)?).unwrap_or(Role::Metrics);
    let account = Locked { id, role, employee: row.try_get(2)?, is_disabled: row.try_get(3)? };
    let admins: Vec<AccountId> = admins.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok((account, admins.iter().any(|admin| *admin != id)))
}

/// Changes of an account.
struct Update<'a> {
    actor: Actor,
    username: &'a str,
    change: &'a AccountChange,
    hash: Option<String>,
}

impl Update<'_> {
    /// Returns the keys of the credentials that end, or whose permissions change.
    async fn run(&self, lease: &mut Lease<'_>) -> Result<Vec<String>, Abort> {
        lease.begin().await?;
        let (before, has_other_admin) = lock(lease, self.username).await?;
        let role = self.change.role.unwrap_or(before.role);
        let employee = self.change.employee.clone().unwrap_or_else(|| before.employee.clone());
        let is_disabled = self.change.disabled.unwrap_or(before.is_disabled);
        // An account whose person was erased is disabled and has no employee. Its other members can be changed.
        let stays_erased = is_disabled && role == before.role && employee.is_none() && before.employee.is_none();
        if !stays_erased {
            if role == Role::Employee && employee.is_none() {
                return Err(Error::EmployeeUnlinked.into());
            }
            check_role(role, employee.as_deref())?;
        }
        let was_admin = before.role == Role::Admin && !before.is_disabled;
        if was_admin && (role != Role::Admin || is_disabled) && !has_other_admin {
            return Err(Error::LastAdmin(self.username.to_owned()).into());
        }
        let mut changed = if is_disabled && !before.is_disabled {
            let mut ended = end_sessions(lease, before.id, None).await?;
            ended.extend(keys(&lease.query(DELETE_TOKENS, &[number(&before.id)]).await?)?);
            ended
        } else if self.hash.is_some() {
            end_sessions(lease, before.id, None).await?
        } else {
            Vec::new()
        };
        changed.extend(keys(&lease.query(KEYS, &[number(&before.id)]).await?)?);
        let role_word = role.as_str();
        let parameters = [number(&before.id), text(&role_word), text(&employee), truth(&is_disabled), text(&self.hash)];
        lease.execute(UPDATE, &parameters).await?;
        for (action, details) in entries(&before, role, employee.as_deref(), is_disabled, self.hash.is_some()) {
            write(lease, &Entry::by(self.actor, action, before.id, details)).await?;
        }
        lease.commit().await?;
        Ok(changed)
    }
}

/// The entries of the audit about a change.
fn entries(
    before: &Locked,
    role: Role,
    employee: Option<&str>,
    is_disabled: bool,
    has_password: bool,
) -> Vec<(AuditAction, Value)> {
    let mut entries = Vec::new();
    let mut details = Map::new();
    if role != before.role {
        details.insert("role".to_owned(), json!({ "before": before.role.as_str(), "after": role.as_str() }));
    }
    if employee != before.employee.as_deref() {
        details.insert("employee_id".to_owned(), json!({ "before": before.employee, "after": employee }));
    }
    if !details.is_empty() {
        entries.push((AuditAction::AccountChanged, Value::Object(details)));
    }
    if has_password {
        entries.push((AuditAction::PasswordChanged, json!({})));
    }
    match (before.is_disabled, is_disabled) {
        (false, true) => entries.push((AuditAction::AccountDisabled, json!({}))),
        (true, false) => entries.push((AuditAction::AccountEnabled, json!({}))),
        _ => {}
    }
    entries
}

/// Removes an account; returns the keys of the credentials that end.
async fn remove(lease: &mut Lease<'_>, actor: Actor, username: &str) -> Result<Vec<String>, Abort> {
    lease.begin().await?;
    let (account, has_other_admin) = lock(lease, username).await?;
    if account.role == Role::Admin && !account.is_disabled && !has_other_admin {
        return Err(Error::LastAdmin(username.to_owned()).into());
    }
    let ended = keys(&lease.query(KEYS, &[number(&account.id)]).await?)?;
    lease.execute("DELETE FROM attendance_api.accounts WHERE id = $1", &[number(&account.id)]).await?;
    lease.execute("DELETE FROM attendance_api.login_failures WHERE subject = $1", &[number(&account.id)]).await?;
    let details = json!({ "role": account.role.as_str() });
    write(lease, &Entry::by(actor, AuditAction::AccountRemoved, account.id, details)).await?;
    lease.commit().await?;
    Ok(ended)
}

fn account(row: &Row) -> Result<AccountInfo, tokio_postgres::Error> {
    Ok(AccountInfo {
        id: row.try_get(0)?,
        username: row.try_get(1)?,
        // A role that a newer version has made is shown as the one that can do least.
        role: Role::parse(row.try_get(2)?).unwrap_or(Role::Employee),
        employee: row.try_get(3)?,
        is_disabled: row.try_get(4)?,
        created_at: timestamp(row.try_get(5)?),
        last_login: row.try_get::<_, Option<i64>>(6)?.map(timestamp),
    })
}
