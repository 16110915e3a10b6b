//! From a credential to what it stands for.
//!
//! Policy: a look-up asks memory, then Redis if there is one, then PostgreSQL. Each credential has a scope, which few others share, so that a change invalidates
//! hardly any credential that it does not concern. Only credentials that exist are cached: an unknown one may be made a moment later, and a flood of invented
//! ones must not displace others. For the same reason the number of scopes is bounded: a shared Redis holds a generation for each scope that was asked for.
//! Look-ups in PostgreSQL that arrive together are one statement, so that such a flood needs one connection only.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio_postgres::Row;

use super::credential::Credential;
use super::error::Error;
use super::moment::{Clock, millis_sql};
use super::principal::{CredentialId, Principal};
use super::role::Role;
use super::store::{Store, seconds, texts};
use super::touch::{Touch, TouchQueue};
use super::verified::VerifiedCredential;
use crate::cache::{
    Cache, CachedEntry, ChangeInProgress, Concern, Confirmation, FillToken, Lookup, Participant, Scope, SingleFlight,
};
use crate::config::Auth;
use crate::database::{BatchOperation, Batcher, QueryError};

/// The cache of credentials.
pub type CredentialCache = Cache<Arc<VerifiedCredential>>;

/// Batches of look-ups at the same time.
const MAX_BATCHES: usize = 1;
/// The group of the scopes.
const CREDENTIAL: &str = "credential";
/// The hexadecimal digits of a key that name its scope: there are 65,536 scopes.
const SCOPE_DIGITS: usize = 4;

/// What a look-up in PostgreSQL finds.
type Found = Result<Option<Arc<VerifiedCredential>>, Error>;

/// Looks credentials up.
#[derive(Debug)]
pub(super) struct Credentials {
    cache: Option<Arc<CredentialCache>>,
    single_flight: SingleFlight<Found>,
    batcher: Batcher<BatchLookup>,
    clock: Clock,
    touches: TouchQueue,
    store: Store,
}

/// A credential that was in memory, with what it stood for, for the next time it is shown.
#[derive(Debug)]
pub struct KnownCredential {
    credential: Credential,
    entry: CachedEntry<Arc<VerifiedCredential>>,
    /// A copy of its own: the processors would contend for the reference count of the one in the cache.
    principal: Arc<Principal>,
}

impl KnownCredential {
    /// Who it belonged to when it was looked up.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }
}

/// The scope of a credential. What is announced may be any text.
fn scope(key: &str) -> Scope<'_> {
    Scope::member(CREDENTIAL, key.get(..SCOPE_DIGITS).unwrap_or(key))
}

impl Credentials {
    pub(super) fn new(store: Store, cache: Option<Arc<CredentialCache>>, settings: &Auth, touches: TouchQueue) -> Self {
        let lookup = BatchLookup {
            store: store.clone(),
            session_idle: settings.session_idle.as_secs_f64(),
            session_max: settings.session_max.as_secs_f64(),
        };
        let batcher = Batcher::new(lookup, MAX_BATCHES);
        Self { cache, single_flight: SingleFlight::default(), batcher, clock: Clock::new(), touches, store }
    }

    /// Whether [`Credentials::try_cached`] can succeed.
    pub(super) fn can_answer_from_memory(&self) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.can_answer_from_memory())
    }

    /// What this process has in memory. Never waits, and allocates nothing.
    pub(super) fn try_cached(&self, credential: &Credential, now: Instant) -> Option<Arc<Principal>> {
        let verified = self.cache.as_ref()?.try_cached(&[scope(credential.key())], credential.key(), now)?;
        self.accept(credential, &verified, now)
    }

    /// As [`Credentials::try_cached`], to be asked again with [`Credentials::recall`].
    pub(super) fn try_known(&self, credential: &Credential, now: Instant) -> Option<KnownCredential> {
        let entry = self.cache.as_ref()?.try_cached_entry(&[scope(credential.key())], credential.key(), now)?;
        let principal = self.accept(credential, entry.value(), now)?;
        Some(KnownCredential { credential: *credential, entry, principal: Arc::new(Principal::clone(&principal)) })
    }

    /// Who a credential belongs to that was known, if nothing has changed. Never waits, allocates nothing, and writes to no memory that other threads use
    /// but counters.
    pub(super) fn recall(&self, known: &KnownCredential, now: Instant) -> Option<Arc<Principal>> {
        let KnownCredential { credential, entry, principal } = known;
        let is_valid = self.cache.as_ref()?.is_valid(entry, &[scope(credential.key())], now);
        (is_valid && self.is_in_force(credential, entry.value(), now)).then(|| Arc::clone(principal))
    }

    /// What the credential stands for; `None` if it is unknown or has ended.
    pub(super) async fn find(&self, credential: &Credential) -> Result<Option<Arc<Principal>>, Error> {
        let now = Instant::now();
        let lookup = match &self.cache {
            Some(cache) => cache.lookup(&[scope(credential.key())], credential.key()).await,
            None => Lookup::Bypass,
        };
        let found = match lookup {
            Lookup::Hit(verified) => match self.accept(credential, &verified, now) {
                Some(principal) => return Ok(Some(principal)),
                // It has ended by the clock of this process.
                None => Box::pin(self.load(credential)).await?,
            },
            // In boxes, so that a hit does not pay for their room.
            Lookup::Miss(token) => Box::pin(self.load_once(token, credential)).await?,
            Lookup::Bypass => Box::pin(self.load(credential)).await?,
        };
        let Some(verified) = found else { return Ok(None) };
        self.touch(credential, &verified, now);
        Ok(Some(Arc::clone(&verified.principal)))
    }

    fn accept(&self, credential: &Credential, verified: &VerifiedCredential, now: Instant) -> Option<Arc<Principal>> {
        self.is_in_force(credential, verified, now).then(|| Arc::clone(&verified.principal))
    }

    /// Whether a credential has not ended by the clock of this process. If not, this is a use.
    fn is_in_force(&self, credential: &Credential, verified: &VerifiedCredential, now: Instant) -> bool {
        let is_in_force = verified.expires_at > self.clock.millis(now);
        if is_in_force {
            self.touch(credential, verified, now);
        }
        is_in_force
    }

    fn touch(&self, credential: &Credential, verified: &VerifiedCredential, now: Instant) {
        if verified.touch(self.clock.millis(now)) {
            self.touches.push(Touch::of(credential));
        }
    }

    /// Loads a credential once for all requests that show it at the moment.
    async fn load_once(&self, token: FillToken, credential: &Credential) -> Found {
        let leader = match self.single_flight.join(&token) {
            Participant::Leader(leader) => Some(leader),
            Participant::Follower(result) => match result.await {
                Ok(result) => return result,
                Err(_) => None,
            },
        };
        let result = self.load(credential).await;
        if let (Ok(Some(verified)), Some(cache)) = (&result, &self.cache) {
            cache.store(token, verified);
        }
        if let Some(leader) = leader {
            leader.complete(&result);
        }
        result
    }

    async fn load(&self, credential: &Credential) -> Found {
        self.batcher.submit(credential.key().to_owned(), self.store.deadline()).await
    }

    /// Begins a change that may end credentials; which ones is known at its end. The caller already has a connection: a change that waits for one in vain is
    /// dropped, which ends every generation, and a client could cause that again and again while the connections are busy.
    pub(super) fn begin_change(&self) -> ChangeInProgress<'_, Arc<VerifiedCredential>> {
        ChangeInProgress::begin(self.cache.as_deref(), Concern::Everything)
    }

    /// Ends a change of which the outcome is known: the credentials with these keys are looked up again.
    pub(super) async fn acknowledge(
        &self,
        change: ChangeInProgress<'_, Arc<VerifiedCredential>>,
        keys: &[String],
    ) -> Confirmation {
        if keys.is_empty() {
            change.disarm();
            return Confirmation::Confirmed;
        }
        let scopes: Vec<Scope<'_>> = keys.iter().map(|key| scope(key)).collect();
        change.acknowledge(&scopes).await
    }
}

/// Invalidates what another process announces.
pub(super) fn invalidate_announced(cache: &CredentialCache, key: &str) {
    cache.invalidate_announced(&[scope(key)]);
}

/// Finds what credentials stand for, in one statement.
#[derive(Debug)]
struct BatchLookup {
    store: Store,
    /// In seconds.
    session_idle: f64,
    session_max: f64,
}

impl BatchOperation for BatchLookup {
    type Request = String;
    type Response = Option<Arc<VerifiedCredential>>;
    type Error = Error;

    async fn run(&self, keys: Vec<String>, deadline: tokio::time::Instant) -> Vec<Found> {
        let found = match self.select(&keys, deadline).await {
            Err(error) if error.is_retryable() => self.select(&keys, deadline).await,
            outcome => outcome,
        };
        match found.map_err(Error::from) {
            Ok(found) => keys.iter().map(|key| Ok(found.get(key).cloned())).collect(),
            Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

impl BatchLookup {
    async fn select(
        &self,
        keys: &[String],
        deadline: tokio::time::Instant,
    ) -> Result<HashMap<String, Arc<VerifiedCredential>>, QueryError> {
        let end = "least(sessions.expires_at, sessions.created_at + make_interval(secs => $3))";
        let sql = format!(
            "SELECT true, sessions.key, sessions.id, accounts.id, accounts.username, accounts.role, accounts.employee, NULL::text, \
                {session_end}, {last_seen} \
             FROM attendance_api.sessions JOIN attendance_api.accounts ON accounts.id = sessions.account \
             WHERE sessions.key = ANY($1) AND NOT accounts.disabled AND {end} > clock_timestamp() \
                AND sessions.last_seen > clock_timestamp() - make_interval(secs => $2) \
             UNION ALL SELECT false, tokens.key, tokens.id, accounts.id, accounts.username, accounts.role, accounts.employee, tokens.role, \
                {token_end}, {last_used} \
             FROM attendance_api.tokens JOIN attendance_api.accounts ON accounts.id = tokens.account \
             WHERE tokens.key = ANY($1) AND NOT accounts.disabled \
                AND (tokens.expires_at IS NULL OR tokens.expires_at > clock_timestamp())",
            session_end = millis_sql(end),
            last_seen = millis_sql("sessions.last_seen"),
            token_end = millis_sql("tokens.expires_at"),
            last_used = millis_sql("coalesce(tokens.last_used, 'epoch')"),
        );
        let parameters = [texts(&keys), seconds(&self.session_idle), seconds(&self.session_max)];
        let rows = self.store.run(&sql, &parameters, deadline).await?;
        let read = |row: &Row| -> Result<Option<(String, Arc<VerifiedCredential>)>, tokio_postgres::Error> {
            let Some(verified) = verified(row)? else { return Ok(None) };
            Ok(Some((row.try_get(1)?, Arc::new(verified))))
        };
        rows.iter().filter_map(|row| read(row).transpose()).collect::<Result<_, _>>().map_err(QueryError::statement)
    }
}

/// What a row says; `None` if the credential permits nothing any more, or has a role that a newer version made.
fn verified(row: &Row) -> Result<Option<VerifiedCredential>, tokio_postgres::Error> {
    let id = row.try_get(2)?;
    let is_session: bool = row.try_get(0)?;
    let Some(owner) = Role::parse(row.try_get(5)?) else { return Ok(None) };
    let role = match row.try_get::<_, Option<&str>>(7)? {
        None => Some(owner),
        Some(role) => Role::parse(role).and_then(|role| role.limited_to(owner)),
    };
    let Some(role) = role else { return Ok(None) };
    let principal = Principal {
        account: row.try_get(3)?,
        username: row.try_get::<_, &str>(4)?.into(),
        role,
        employee: row.try_get::<_, Option<&str>>(6)?.map(Into::into),
        credential: if is_session { CredentialId::Session(id) } else { CredentialId::Token(id) },
    };
    Ok(Some(VerifiedCredential::new(principal, row.try_get(8)?, row.try_get(9)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_credentials_have_no_more_scopes_than_four_digits_name() {
        let keys: Vec<String> = (0..4).map(|number| format!("00ff{number:060x}")).collect();
        assert!(keys.iter().all(|key| scope(key) == scope(&keys[0])));
        assert_ne!(scope(&keys[0]), scope("00fe"));
        // An announcement of another program.
        for text in ["", "x", "\u{e4}\u{e4}\u{e4}", "\u{20ac}\u{20ac}"] {
            assert_eq!(scope(text), scope(text));
        }
    }
}
