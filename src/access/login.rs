//! Logging in and out.
//!
//! Policy: an unknown account, a wrong password and a disabled account take the same steps: the counts are read, one hash is computed, the failure is counted. The
//! counts are read when the request has its turn to hash, so that no more attempts are in flight than there are threads. A session begins in a transaction
//! that locks the account, so that none begins under an account that was changed meanwhile.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout_at;
use tokio_postgres::Row;

use super::Access;
use super::audit::AuditAction;
use super::audit_log::{Entry, write};
use super::credential::{CredentialKind, IssuedCredential};
use super::error::Error;
use super::hashing::Turn;
use super::moment::{millis_sql, timestamp};
use super::password::NO_PASSWORD;
use super::principal::{AccountId, CredentialId, Principal};
use super::role::Role;
use super::session::{Login, LoginRequest, MAX_SESSIONS, MAX_USER_AGENT};
use super::store::{Abort, keys, number, seconds, text};
use super::throttle::{self, Network, Subject};
use super::username;
use crate::database::{Lease, QueryError};
use crate::peer_counts::Peer;

/// An account, as a login sees it.
struct Candidate {
    id: AccountId,
    hash: String,
    is_disabled: bool,
}

/// A client that tries passwords of an account, or of a name without one.
pub(super) struct Attempt {
    subject: Subject,
    network: Network,
    address: IpAddr,
}

impl Attempt {
    pub(super) fn of_account(account: AccountId, address: IpAddr) -> Self {
        Self { subject: Subject::account(account), network: Network::of(address), address }
    }
}

const FIND: &str = "SELECT id, password_hash, disabled FROM attendance_api.accounts WHERE username = $1";
/// Locks the account, if it still is what the password was compared with.
const LOCK: &str = "SELECT username, role, employee FROM attendance_api.accounts \
    WHERE id = $1 AND password_hash = $2 AND NOT disabled FOR UPDATE";
/// Ends all sessions of an account but the newest ones.
const END_OLDEST: &str = "DELETE FROM attendance_api.sessions WHERE id IN (\
    SELECT id FROM attendance_api.sessions WHERE account = $1 ORDER BY id DESC OFFSET $2) RETURNING key";
const NOTE_LOGIN: &str = "UPDATE attendance_api.accounts SET last_login = clock_timestamp() WHERE id = $1";

impl Access {
    /// Begins a session.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`], [`Error::Throttled`], [`Error::Busy`], or when the database fails.
    pub async fn login(&self, request: LoginRequest<'_>) -> Result<Login, Error> {
        let network = Network::of(request.address);
        self.refuse_known(&network, request.address).await?;
        let turn = self.turn(request.address).await?;
        let name = username::canonical(request.username);
        let candidate = self.candidate(name.as_deref().unwrap_or_default()).await?;
        let subject = match &candidate {
            Some(candidate) => Subject::account(candidate.id),
            None => Subject::unknown(self.name_key.as_bytes(), name.as_deref().unwrap_or(request.username)),
        };
        let attempt = Attempt { subject, network, address: request.address };
        let hash = candidate.as_ref().map_or(NO_PASSWORD, |candidate| &candidate.hash);
        let (is_right, turn) = self.try_password(&attempt, turn, request.password, hash).await?;
        let account = candidate.filter(|candidate| is_right && !candidate.is_disabled);
        // A failure is counted before the next attempt has its turn.
        let turn = account.is_none().then_some(turn);
        let begun = match account {
            Some(account) => self.begin_session(&account, &attempt, request.user_agent).await?,
            None => None,
        };
        match begun {
            Some(login) => {
                self.metrics.logins.inc();
                Ok(login)
            }
            None => {
                let error = self.fail(&attempt, Error::InvalidCredentials).await;
                drop(turn);
                Err(error)
            }
        }
    }

    async fn candidate(&self, username: &str) -> Result<Option<Candidate>, Error> {
        let rows = self.store.read(FIND, &[text(&username)]).await?;
        let read = |row: &Row| -> Result<Candidate, tokio_postgres::Error> {
            Ok(Candidate { id: row.try_get(0)?, hash: row.try_get(1)?, is_disabled: row.try_get(2)? })
        };
        Ok(rows.first().map(read).transpose().map_err(QueryError::statement)?)
    }

    /// Waits for the turn of a client to hash.
    pub(super) async fn turn(&self, address: IpAddr) -> Result<Turn, Error> {
        let peer = Peer::of(address);
        let turn = self.hasher.turn(Some(peer), self.store.deadline()).await;
        if turn.is_err() {
            self.refused.delay(peer).await;
        }
        turn
    }

    /// Refuses a network that is known to have to wait, without a statement.
    pub(super) async fn refuse_known(&self, network: &Network, address: IpAddr) -> Result<(), Error> {
        match self.refused.wait(network, Instant::now()) {
            Some(wait) => Err(self.refuse(network, address, wait).await),
            None => Ok(()),
        }
    }

    /// Whether the password is that of the hash, unless the client has to wait. The turn comes back, to be kept until a failure is counted.
    pub(super) async fn try_password(
        &self,
        attempt: &Attempt,
        turn: Turn,
        password: &str,
        hash: &str,
    ) -> Result<(bool, Turn), Error> {
        if let Some(wait) = self.store.wait(attempt.subject, &attempt.network).await? {
            // The refusal is sent late, and the next one need not wait for that.
            drop(turn);
            return Err(self.refuse(&attempt.network, attempt.address, wait).await);
        }
        turn.verify(password.to_owned(), hash.to_owned()).await
    }

    /// Counts a failure, writes it to the audit, and returns what the client gets.
    pub(super) async fn fail(&self, attempt: &Attempt, error: Error) -> Error {
        self.metrics.login_failures.inc();
        match self.store.count_failure(attempt.subject, &attempt.network, attempt.address).await {
            Ok(Some(wait)) => {
                let now = Instant::now();
                self.refused.insert(&attempt.network, now + wait, now);
                error
            }
            Ok(None) => error,
            Err(failed) => failed.into(),
        }
    }

    async fn refuse(&self, network: &Network, address: IpAddr, wait: Duration) -> Error {
        self.metrics.logins_throttled.inc();
        if self.refused.claim_note(network, Instant::now())
            && let Err(error) = self.store.note_refusal(address).await
        {
            tracing::warn!(%error, "the audit has no entry about logins that were refused");
        }
        self.refused.delay(Peer::of(address)).await;
        Error::Throttled(wait)
    }

    /// Begins a session; `None` if the account has changed since its password was compared.
    async fn begin_session(
        &self,
        account: &Candidate,
        attempt: &Attempt,
        user_agent: Option<&str>,
    ) -> Result<Option<Login>, Error> {
        let token = IssuedCredential::issue(CredentialKind::Session)?;
        let user_agent = user_agent.map(|text| text.chars().take(MAX_USER_AGENT).collect::<String>());
        let session = NewSession {
            account,
            attempt,
            key: token.credential().key(),
            user_agent: user_agent.as_deref(),
            max_seconds: self.settings.session_max.as_secs_f64(),
        };
        let mut change = self.begin_change().await?;
        let outcome = timeout_at(change.deadline, session.begin(&mut change.lease)).await;
        // The client asked for the end of no session, so that the answer does not say when Redis has not confirmed it.
        let begun =
            change.finish_unconfirmed(outcome, |begun| begun.as_ref().map_or(&[], |begun| &begun.ended)).await?;
        let Some(Begun { principal, expires_at, .. }) = begun else { return Ok(None) };
        Ok(Some(Login { token, expires_at: timestamp(expires_at), principal: Arc::new(principal) }))
    }
}

/// A session to be begun.
struct NewSession<'a> {
    account: &'a Candidate,
    attempt: &'a Attempt,
    key: &'a str,
    user_agent: Option<&'a str>,
    max_seconds: f64,
}

/// A session that has begun.
struct Begun {
    principal: Principal,
    expires_at: i64,
    /// The keys of the sessions that it replaces.
    ended: Vec<String>,
}

impl NewSession<'_> {
    async fn begin(&self, lease: &mut Lease<'_>) -> Result<Option<Begun>, Abort> {
        let account = self.account.id;
        lease.begin().await?;
        let locked = lease.query(LOCK, &[number(&account), text(&self.account.hash)]).await?;
        let Some(row) = locked.first() else {
            lease.roll_back().await?;
            return Ok(None);
        };
        let Some(role) = Role::parse(row.try_get(1)?) else {
            lease.roll_back().await?;
            return Ok(None);
        };
        let network = self.attempt.network.as_str();
        lease.execute(throttle::RESET, &[number(&account), text(network)]).await?;
        lease.execute(throttle::REMEMBER, &[number(&account), text(network)]).await?;
        lease.execute(throttle::FORGET, &[number(&account), number(&throttle::MAX_NETWORKS)]).await?;
        let kept = MAX_SESSIONS - 1;
        let ended = keys(&lease.query(END_OLDEST, &[number(&account), number(&kept)]).await?)?;
        let (id, expires_at) = self.insert(lease).await?;
        lease.execute(NOTE_LOGIN, &[number(&account)]).await?;
        let entry = Entry {
            actor: Some(account),
            account: Some(account),
            address: Some(self.attempt.address),
            details: json!({ "session": id }),
            ..Entry::new(AuditAction::Login)
        };
        write(lease, &entry).await?;
        let principal = Principal {
            account,
            username: row.try_get::<_, &str>(0)?.into(),
            role,
            employee: row.try_get::<_, Option<&str>>(2)?.map(Into::into),
            credential: CredentialId::Session(id),
        };
        lease.commit().await?;
        Ok(Some(Begun { principal, expires_at, ended }))
    }

    /// Returns the number of the session and the moment of its end.
    async fn insert(&self, lease: &Lease<'_>) -> Result<(i64, i64), Abort> {
        let sql = format!(
            "INSERT INTO attendance_api.sessions (key, account, expires_at, address, user_agent) \
             VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3), $4, $5) RETURNING id, {}",
            millis_sql("expires_at")
        );
        let address = self.attempt.address.to_canonical().to_string();
        let parameters = [
            text(&self.key),
            number(&self.account.id),
            seconds(&self.max_seconds),
            text(&address),
            text(&self.user_agent),
        ];
        let inserted = lease.query(&sql, &parameters).await?;
        let session = inserted.first().ok_or(Error::UnknownSession)?;
        Ok((session.try_get(0)?, session.try_get(1)?))
    }
}
