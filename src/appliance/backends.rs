//! PostgreSQL and Redis, managed or external.

use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use tokio::sync::watch;

use super::Error;
use super::foreign_writes::{Announcements, ForeignWrites};
use crate::access::{AccessKey, CredentialCache};
use crate::attendance::{BackupHealth, Content, Dependencies, Dependency, Storage, Store};
use crate::cache::{Cache, CacheMetrics, CacheOptions, CacheValue};
use crate::config::{Config, ExternalRedis, Postgres, PostgresService, Redis, RedisService};
use crate::database::{ConnectionPool, Database, PoolMetrics};
use crate::managed::ChildStatus;
use crate::managed::data_disk::DataDisk;
use crate::managed::memory::AvailableMemory;
use crate::managed::postgres::{Endpoints, ManagedPostgres, PostgresOptions};
use crate::managed::redis::{ManagedRedis, RedisOptions};
use crate::managed::wal_receiver::WalReceiverHandle;
use crate::telemetry::metrics::Metrics;

/// The database that a managed PostgreSQL has; the Python service used this name.
pub(super) const DATABASE: &str = "attendance_db";
/// Connections in addition to the pool: migrations, supervision, and an administrator with psql.
const SPARE_CONNECTIONS: usize = 12;
/// A cached session or token lives no longer, whatever `redis.ttl` is.
const MAX_CREDENTIAL_TTL: Duration = Duration::from_secs(20);
/// What a session or token stands for is never larger, in bytes.
const MAX_CREDENTIAL: usize = 4 << 10;
/// The most memory for sessions and tokens in this process, in bytes: about 14,000 of them. `redis.local_memory` may say less.
const CREDENTIAL_MEMORY: usize = 8 << 20;

/// The services that the domain depends on.
#[derive(Debug)]
pub(super) struct Backends {
    /// How to reach PostgreSQL for the migrations.
    pub(super) database: Database,
    /// How to reach it for requests: a managed one has a role for them.
    pub(super) requests: Database,
    postgres: Option<ManagedPostgres>,
    redis: Option<ManagedRedis>,
    wal_receiver: WalReceiverHandle,
    redis_info: Option<ConnectionInfo>,
}

impl Backends {
    /// Starts the managed services. Redis starts in parallel with PostgreSQL and may become ready later.
    pub(super) async fn start(config: &Config) -> Result<Self, Error> {
        let redis = start_redis(config).await?;
        let postgres = match start_postgres(config).await {
            Ok(postgres) => postgres,
            Err(error) => {
                if let Some(redis) = redis {
                    redis.stop().await;
                }
                return Err(error);
            }
        };
        let (database, requests) = match (&postgres, &config.postgres.service) {
            (Some(postgres), _) => {
                let endpoints = postgres.endpoints();
                (endpoints.owner.database()?, endpoints.requests.database()?)
            }
            (None, PostgresService::External(external)) => {
                let database = Database::external(external)?;
                (database.clone(), database)
            }
            (None, PostgresService::Managed { .. }) => return Err(Error::NoBackend("PostgreSQL")),
        };
        let redis_info = match (&redis, &config.redis.service) {
            (Some(redis), _) => Some(redis.endpoint().connection_info().map_err(Error::RedisAddress)?),
            (None, RedisService::External(external)) => Some(external_redis(external)?),
            (None, RedisService::Off | RedisService::Managed { .. }) => None,
        };
        Ok(Self { database, requests, postgres, redis, wal_receiver: WalReceiverHandle::default(), redis_info })
    }

    /// Gives the role of the requests its privileges, after migrations that applied so many changes.
    pub(super) async fn grant_requests(&self, applied: usize) -> Result<(), Error> {
        match &self.postgres {
            Some(postgres) => Ok(postgres.grant_requests(applied).await?),
            None => Ok(()),
        }
    }

    /// The connection pool of the requests; `name` is that of its sessions.
    pub(super) fn pool(&self, config: &Postgres, name: &str, metrics: &Metrics) -> Result<ConnectionPool, Error> {
        let metrics = PoolMetrics {
            size: metrics.pool_size.clone(),
            in_use: metrics.pool_in_use.clone(),
            waiters: metrics.pool_waiters.clone(),
            wait: metrics.pool_wait.clone(),
        };
        Ok(self.requests.pool(config.pool_size, config.request_timeout, name, metrics)?)
    }

    /// The cache in Redis; none if Redis is off.
    pub(super) fn cache(
        &self,
        config: &Redis,
        database_id: &str,
        foreign_writes: &ForeignWrites,
        metrics: &Metrics,
    ) -> Result<Option<Cache<Arc<Content>>>, Error> {
        let options = CacheOptions {
            name: "answers",
            prefix: prefix(config, database_id)?,
            is_private: matches!(config.service, RedisService::Managed { .. }),
            needs_proof: foreign_writes.needs_proof(),
            timeout: config.timeout,
            ttl: foreign_writes.limit_ttl(config.ttl),
            max_value: config.max_value,
            local_memory: local_memory(config),
            authentication: None,
        };
        let duration = |operation| metrics.cache_duration.with_label_values(&[operation]);
        let metrics = CacheMetrics {
            hits: metrics.cache_hits.clone(),
            memory_hits: metrics.cache_local_hits.clone(),
            misses: metrics.cache_misses.clone(),
            errors: metrics.cache_errors.clone(),
            get: duration("get"),
            set: duration("set"),
        };
        self.open_cache(options, metrics)
    }

    /// The cache of sessions and tokens in memory, and in Redis if there is one; none if there is neither. `key` signs what is stored in Redis.
    pub(super) fn credential_cache(
        &self,
        config: &Redis,
        database_id: &str,
        announcements: &Announcements,
        key: &AccessKey,
        metrics: &Metrics,
    ) -> Result<Option<CredentialCache>, Error> {
        let options = CacheOptions {
            name: "credentials",
            prefix: format!("{}access:", prefix(config, database_id)?),
            is_private: matches!(config.service, RedisService::Managed { .. }),
            needs_proof: announcements.needs_proof(),
            timeout: config.timeout,
            ttl: announcements.limit_ttl(config.ttl.min(MAX_CREDENTIAL_TTL)),
            max_value: MAX_CREDENTIAL,
            local_memory: local_memory(config).min(CREDENTIAL_MEMORY),
            authentication: Some(key.for_cache()),
        };
        let duration = |operation| metrics.cache_duration.with_label_values(&[operation]);
        let lookups = |result| metrics.credential_lookups.with_label_values(&[result]);
        let metrics = CacheMetrics {
            hits: lookups("hit"),
            memory_hits: lookups("memory"),
            misses: lookups("miss"),
            errors: metrics.cache_errors.clone(),
            get: duration("get"),
            set: duration("set"),
        };
        if self.redis_info.is_none() {
            let seed = getrandom::u64().map_err(Error::Random)?;
            return Ok((options.local_memory > 0).then(|| Cache::in_memory(options, seed, metrics)));
        }
        self.open_cache(options, metrics)
    }

    fn open_cache<V: CacheValue>(
        &self,
        options: CacheOptions,
        metrics: CacheMetrics,
    ) -> Result<Option<Cache<V>>, Error> {
        let Some(info) = self.redis_info.clone() else { return Ok(None) };
        let client = redis::Client::open(info).map_err(Error::RedisAddress)?;
        let seed = getrandom::u64().map_err(Error::Random)?;
        Ok(Some(Cache::new(options, client, seed, metrics)))
    }

    /// The health checks of both services.
    pub(super) fn health(
        &self,
        store: Arc<Store>,
        cache: Option<Arc<Cache<Arc<Content>>>>,
        storage: Arc<Storage>,
        backup: Option<BackupHealth>,
    ) -> Dependencies {
        let postgresql = Dependency::new(self.postgres.is_some(), move || {
            let store = store.clone();
            async move { store.ping().await }
        });
        let redis = cache.map(|cache| {
            Dependency::new(self.redis.is_some(), move || {
                let cache = cache.clone();
                async move { cache.ping().await }
            })
        });
        Dependencies { postgresql, redis, storage, backup }
    }

    /// How each role of the managed PostgreSQL connects; none if it is external.
    pub(super) fn endpoints(&self) -> Option<&Endpoints> {
        self.postgres.as_ref().map(ManagedPostgres::endpoints)
    }

    /// What copies the WAL of the managed PostgreSQL.
    pub(super) fn wal_receiver(&self) -> WalReceiverHandle {
        self.wal_receiver.clone()
    }

    /// The file systems of the managed PostgreSQL.
    pub(super) fn data_disk(&self) -> Option<DataDisk> {
        self.postgres.as_ref().map(ManagedPostgres::data_disk)
    }

    /// The managed children, by name.
    pub(super) fn children(&self) -> Vec<(&'static str, watch::Receiver<ChildStatus>)> {
        let postgres = self.postgres.as_ref().map(|child| ("postgres", child.status()));
        let redis = self.redis.as_ref().map(|child| ("redis", child.status()));
        postgres.into_iter().chain(redis).collect()
    }

    /// PostgreSQL in the words of the banner and the log.
    pub(super) fn postgres_kind(&self) -> String {
        match &self.postgres {
            Some(managed) => format!("managed, {} {}", managed.installation().origin, managed.installation().version),
            None => format!("external, {}", self.database.address()),
        }
    }

    /// Redis in the words of the banner and the log.
    pub(super) fn redis_kind(&self) -> String {
        match (&self.redis, &self.redis_info) {
            (Some(managed), _) => format!("managed, {}", managed.endpoint()),
            (None, Some(info)) => format!("external, {}", info.addr()),
            (None, None) => "off".to_owned(),
        }
    }

    /// Stops the managed services: PostgreSQL first, so that no read can still fill the cache.
    pub(super) async fn stop(self) {
        if let Some(postgres) = self.postgres {
            // PostgreSQL sends its last WAL while it stops, and ends the receiver.
            tokio::join!(postgres.stop(), self.wal_receiver.stop());
            tracing::info!("PostgreSQL is stopped");
        }
        if let Some(redis) = self.redis {
            redis.stop().await;
            tracing::info!("Redis is stopped");
        }
    }
}

/// What every key in Redis begins with.
fn prefix(config: &Redis, database_id: &str) -> Result<String, Error> {
    Ok(match &config.service {
        // Other users of this machine can connect to the built-in Redis, but cannot guess its keys.
        RedisService::Managed(managed) if managed.program.is_none() => {
            let token = (getrandom::u64().map_err(Error::Random)?, getrandom::u64().map_err(Error::Random)?);
            format!("attendance:{:016x}{:016x}:", token.0, token.1)
        }
        // Two deployments may share a Redis; each has its own database, and therefore its own keys.
        _ => format!("attendance:{database_id}:"),
    })
}

async fn start_postgres(config: &Config) -> Result<Option<ManagedPostgres>, Error> {
    Ok(match postgres_options(config) {
        Some(options) => Some(ManagedPostgres::start(options).await?),
        None => None,
    })
}

/// The options of the managed PostgreSQL; none if it is external.
pub(super) fn postgres_options(config: &Config) -> Option<PostgresOptions> {
    let PostgresService::Managed(managed) = &config.postgres.service else { return None };
    Some(PostgresOptions {
        data_dir: config.data_dir.clone(),
        bin_dir: managed.bin_dir.clone(),
        database: DATABASE.to_owned(),
        max_connections: config.postgres.pool_size + SPARE_CONNECTIONS,
        shared_buffers: managed.shared_buffers.unwrap_or_else(|| AvailableMemory::detect().shared_buffers()),
        max_kept_wal: config.backup.wal.then_some(config.backup.wal_max_lag),
        init_timeout: managed.init_timeout,
        start_timeout: managed.start_timeout,
        stop_timeout: managed.stop_timeout,
    })
}

async fn start_redis(config: &Config) -> Result<Option<ManagedRedis>, Error> {
    let RedisService::Managed(managed) = &config.redis.service else { return Ok(None) };
    let options = RedisOptions {
        data_dir: config.data_dir.clone(),
        program: managed.program.clone(),
        max_memory: managed.max_memory.unwrap_or_else(|| AvailableMemory::detect().redis_memory()),
    };
    Ok(Some(ManagedRedis::start(options).await?))
}

fn external_redis(external: &ExternalRedis) -> Result<ConnectionInfo, Error> {
    let mut settings = RedisConnectionInfo::default().set_db(external.database).set_skip_set_lib_name();
    if let Some(username) = &external.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &external.password {
        settings = settings.set_password(password.expose());
    }
    let address = ConnectionAddr::Tcp(external.host.clone(), external.port);
    Ok(address.into_connection_info().map_err(Error::RedisAddress)?.set_redis_settings(settings))
}

/// The memory of this process for cached answers, in bytes: as configured, or by the memory that there is.
pub(super) fn local_memory(config: &Redis) -> usize {
    config.local_memory.unwrap_or_else(|| AvailableMemory::detect().local_memory())
}
