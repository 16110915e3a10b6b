//! Accounts, sessions, tokens and roles: who may do what.
//!
//! Policy: PostgreSQL is the source of truth. The credential of a request is looked up in this process's memory, then in Redis if there is one, then in PostgreSQL
//! (`lookup.rs`), under generations as for records (`crate::cache`). Every change ends the generations of the credentials that it concerns after
//! its commit and before its acknowledgement, and announces itself by triggers, so that processes which share no Redis with this one receive it
//! (`announcements.rs`). Passwords are hashed on a bounded number of threads (`hashing.rs`), and failed logins are counted in PostgreSQL
//! (`throttle.rs`). Each change leaves an entry of the audit in its own transaction.
//!
//! This module is independent of HTTP: `crate::http` decides what a request needs, and compares a [`Permission`] with the [`Principal`] that it gets from here.

mod account;
mod accounts;
mod announcements;
mod audit;
mod audit_log;
mod change;
mod credential;
mod error;
mod hashing;
mod key;
mod login;
mod lookup;
mod maintenance;
mod moment;
mod password;
mod principal;
mod role;
mod session;
mod sessions;
mod store;
mod system_error;
mod throttle;
mod token;
mod tokens;
mod touch;
mod username;
mod verified;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use prometheus::{IntCounter, IntGauge};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;

use crate::config::Auth;
use crate::database::ConnectionPool;
use crate::telemetry::metrics::Metrics;

use hashing::Hasher;
use key::NameKey;
use lookup::Credentials;
use store::Store;
use throttle::Refused;
use touch::{Touch, TouchQueue};

pub use account::{AccountChange, AccountInfo, AccountPage, NewAccount};
pub use announcements::{CredentialChanges, subscription};
pub use audit::{AuditAction, AuditEntry, AuditPage, AuditQuery};
pub use audit_log::note_settings;
pub use change::Revocation;
pub use credential::{CREDENTIAL_LEN, Credential, CredentialKind, IssuedCredential};
pub use error::Error;
pub use key::AccessKey;
pub use lookup::{CredentialCache, KnownCredential};
pub use password::PasswordProblem;
pub use principal::{AccountId, Actor, CredentialId, Principal};
pub use role::{Permission, Role};
pub use session::{Login, LoginRequest, MAX_SESSIONS, SessionInfo};
pub use system_error::SystemError;
pub use token::{CreatedToken, MAX_TOKEN_NAME, MAX_TOKENS, NewToken, TokenInfo, TokenPage, TokenScope};
pub use username::UsernameProblem;
pub use verified::VerifiedCredential;

/// The tables of access control, and the key that they hold: what is needed to make the cache of credentials.
#[derive(Debug)]
pub struct AccessTables {
    store: Store,
    key: AccessKey,
}

/// Accounts, sessions, tokens and the audit.
#[derive(Debug)]
pub struct Access {
    store: Store,
    credentials: Credentials,
    hasher: Hasher,
    refused: Refused,
    name_key: NameKey,
    settings: Auth,
    metrics: AccessMetrics,
    tasks: Vec<JoinHandle<()>>,
    /// The keys of the credentials that a command has ended; none in an appliance.
    ended: Option<Mutex<Vec<String>>>,
}

/// Where logins are counted.
#[derive(Debug)]
struct AccessMetrics {
    logins: IntCounter,
    login_failures: IntCounter,
    logins_throttled: IntCounter,
    sessions: IntGauge,
}

impl AccessTables {
    /// Reads the key, which is made if there is none.
    ///
    /// # Errors
    /// When the database fails, or the tables are missing.
    pub async fn open(pool: Arc<ConnectionPool>, metrics: &Metrics) -> Result<Self, Error> {
        let store = Store::new(pool, metrics.query_duration.with_label_values(&["access"]));
        let key = AccessKey::read_or_make(&store).await?;
        Ok(Self { store, key })
    }

    /// The key.
    pub fn key(&self) -> &AccessKey {
        &self.key
    }
}

impl Access {
    /// For a command, which ends soon: nothing is cached, and nothing is done in the background.
    pub fn of_command(tables: AccessTables, settings: &Auth, metrics: &Metrics) -> Self {
        let (mut access, _) = Self::new(tables, None, settings, metrics);
        access.ended = Some(Mutex::default());
        access
    }

    /// For an appliance that serves.
    pub fn start(
        tables: AccessTables,
        cache: Option<Arc<CredentialCache>>,
        settings: &Auth,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let (mut access, touches) = Self::new(tables, cache, settings, metrics);
        access.tasks = vec![
            touch::start(access.store.clone(), touches),
            maintenance::start(access.store.clone(), settings, access.metrics.sessions.clone()),
        ];
        Arc::new(access)
    }

    fn new(
        AccessTables { store, key }: AccessTables,
        cache: Option<Arc<CredentialCache>>,
        settings: &Auth,
        metrics: &Metrics,
    ) -> (Self, Receiver<Touch>) {
        let (touches, receiver) = TouchQueue::new();
        let login = |outcome| metrics.logins.with_label_values(&[outcome]);
        let access = Self {
            credentials: Credentials::new(store.clone(), cache, settings, touches),
            store,
            hasher: Hasher::new(),
            refused: Refused::default(),
            name_key: key.for_names(),
            settings: settings.clone(),
            metrics: AccessMetrics {
                logins: login("succeeded"),
                login_failures: login("failed"),
                logins_throttled: login("throttled"),
                sessions: metrics.sessions_active.with_label_values::<&str>(&[]),
            },
            tasks: Vec::new(),
            ended: None,
        };
        (access, receiver)
    }

    /// Whether [`Access::try_authenticate`] can succeed; otherwise its callers can spare the attempt.
    pub fn can_answer_from_memory(&self) -> bool {
        self.credentials.can_answer_from_memory()
    }

    /// Who a credential belongs to, if this process has that in memory. Never waits, and allocates nothing.
    pub fn try_authenticate(&self, credential: &Credential, now: Instant) -> Option<Arc<Principal>> {
        self.credentials.try_cached(credential, now)
    }

    /// As [`Access::try_authenticate`], for a caller that keeps what was found and asks again.
    pub fn try_know(&self, credential: &Credential, now: Instant) -> Option<KnownCredential> {
        self.credentials.try_known(credential, now)
    }

    /// Who a credential belongs to that was known before, if that is still valid. Never waits, and allocates nothing.
    pub fn recall(&self, known: &KnownCredential, now: Instant) -> Option<Arc<Principal>> {
        self.credentials.recall(known, now)
    }

    /// Who a credential belongs to; `None` if it is unknown or has ended, or its account is disabled.
    ///
    /// # Errors
    /// When the cache has no answer and the database fails.
    pub async fn authenticate(&self, credential: &Credential) -> Result<Option<Arc<Principal>>, Error> {
        self.credentials.find(credential).await
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
