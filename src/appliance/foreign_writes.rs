//! Connects what PostgreSQL announces of other programs' writes with the cache.
//!
//! Policy: triggers announce every write to the tables that answers depend on by a session that is not silent (`database/change_triggers.rs`). This process's own writes
//! are silent if no other process needs a notification: with a managed PostgreSQL, which only this process serves, and with an external
//! Redis, which tells the other instances. An instance with a Redis of its own on an external PostgreSQL has a name, by which it recognises
//! its own announcements; those of others end every generation of its cache.
//!
//! Cached values are used only until [`PROOF_TTL`] after the beginning of the last proof that announcements arrive. Where they cannot arrive
//! (no right to create the triggers, a pooler in transaction mode without `postgres.listen_url`), the life of every value is limited to that
//! time instead, and the log says so at the start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::IntCounter;

use super::Error;
use crate::attendance::Content;
use crate::cache::Cache;
use crate::config::{Config, PostgresService, RedisService};
use crate::database::Database;
use crate::database::change_triggers::{self, CHANNEL, SILENT_NAME, TriggerError, named_instance};
use crate::database::notifications::{self, ChangeListener, Notifications, Subscription};

/// How long after the beginning of a proof cached values are used, and the life of a value where there is no proof.
pub(super) const PROOF_TTL: Duration = Duration::from_secs(1);

/// How this process is notified of writes of records by other programs.
#[derive(Debug)]
pub(super) enum ForeignWrites {
    /// Not at all: it was switched off, or there is no cache.
    Unwatched,
    /// By announcements, as far as these arrive.
    Watched(Announcements),
}

/// Whether announcements can arrive.
#[derive(Debug)]
pub(super) enum Announcements {
    /// Something prevents it: values live for [`PROOF_TTL`].
    Prevented,
    /// They arrive from this database.
    From(Box<Database>),
}

impl Announcements {
    /// Decides at the start from where they arrive. `requests` is the database as the requests use it. `consequence` is logged if they cannot.
    pub(super) async fn prepare(config: &Config, requests: &Database, consequence: &str) -> Result<Self, Error> {
        let Some(server) = config.postgres.direct_service() else {
            return Ok(Self::From(Box::new(requests.clone())));
        };
        let database = Database::external(&server)?;
        match notifications::check_delivery(&database, requests).await {
            Err(error) if error.is_permanent() => {
                tracing::warn!(reason = %error, "{consequence}");
                Ok(Self::Prevented)
            }
            // Another error may pass: nothing is cached until it has.
            Ok(()) | Err(_) => Ok(Self::From(Box::new(database))),
        }
    }

    /// Begins to listen for a cache; waits for the first proof, for a limited time.
    pub(super) async fn listen(
        self,
        subscription: Subscription,
        listener: Arc<dyn ChangeListener>,
    ) -> Option<Notifications> {
        let Self::From(database) = self else { return None };
        let mut notifications = Notifications::start(*database, subscription, listener);
        notifications.wait_for_proof().await;
        Some(notifications)
    }

    /// Whether values are used only while there is a proof.
    pub(super) fn needs_proof(&self) -> bool {
        matches!(self, Self::From(_))
    }

    /// How long a value may live, if the configuration says `ttl`.
    pub(super) fn limit_ttl(&self, ttl: Duration) -> Duration {
        match self {
            Self::Prevented => ttl.min(PROOF_TTL),
            Self::From(_) => ttl,
        }
    }
}

impl ForeignWrites {
    /// Decides at the start. `requests` is the database as the requests use it; the error is that of the migrations.
    pub(super) async fn prepare(
        config: &Config,
        requests: &Database,
        error: Option<&TriggerError>,
    ) -> Result<Self, Error> {
        if !config.postgres.watch_foreign_writes {
            if let Some(error) = error {
                tracing::warn!(reason = %error, "the triggers that announce writes by other programs cannot be removed");
            }
            return Ok(Self::Unwatched);
        }
        if let Some(error) = error {
            tracing::warn!(reason = %error, "{LIMITED}");
            return Ok(Self::Watched(Announcements::Prevented));
        }
        if matches!(config.redis.service, RedisService::Off) {
            return Ok(Self::Unwatched);
        }
        Ok(Self::Watched(Announcements::prepare(config, requests, LIMITED).await?))
    }

    /// Begins to listen for the cache; waits for the first proof, for a limited time.
    pub(super) async fn watch(
        self,
        cache: Option<&Arc<Cache<Arc<Content>>>>,
        name: &str,
        announcements: IntCounter,
    ) -> Option<Notifications> {
        let (Self::Watched(watched), Some(cache)) = (self, cache) else { return None };
        let listener = ForeignChanges { cache: Arc::clone(cache), name: name.to_owned(), announcements };
        let subscription = Subscription { channel: CHANNEL, is_announced_sql: change_triggers::are_watched_sql() };
        watched.listen(subscription, Arc::new(listener)).await
    }

    /// Whether values are used only while there is a proof.
    pub(super) fn needs_proof(&self) -> bool {
        matches!(self, Self::Watched(announcements) if announcements.needs_proof())
    }

    /// How long a value may live, if the configuration says `ttl`.
    pub(super) fn limit_ttl(&self, ttl: Duration) -> Duration {
        match self {
            Self::Unwatched => ttl,
            Self::Watched(announcements) => announcements.limit_ttl(ttl),
        }
    }
}

/// What the log says if writes of records are not announced.
const LIMITED: &str = "writes by other programs are not announced: answers are cached for at most one second \
    (postgres.watch_foreign_writes: false caches them for redis.ttl, and such writes are seen that late)";

/// The `application_name` of the sessions that serve requests.
pub(super) fn session_name(config: &Config) -> Result<String, Error> {
    let is_heard_otherwise = matches!(config.postgres.service, PostgresService::Managed(_))
        || matches!(config.redis.service, RedisService::External(_));
    if is_heard_otherwise || !config.postgres.watch_foreign_writes {
        return Ok(SILENT_NAME.to_owned());
    }
    Ok(named_instance(getrandom::u64().map_err(Error::Random)?))
}

/// Passes announcements on to the cache.
struct ForeignChanges {
    cache: Arc<Cache<Arc<Content>>>,
    /// The name of this process's sessions.
    name: String,
    announcements: IntCounter,
}

impl ChangeListener for ForeignChanges {
    fn announced(&self, _: &str, payload: &str) -> bool {
        let is_foreign = payload != self.name;
        if is_foreign {
            self.announcements.inc();
            self.cache.invalidate_everything();
        }
        is_foreign
    }

    fn listening(&self) {
        self.cache.invalidate_everything();
    }

    fn proven(&self, moment: Instant) {
        self.cache.trust_until(moment + PROOF_TTL);
    }
}
