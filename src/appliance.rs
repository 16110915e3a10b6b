//! The start order and the stop order of the process.
//!
//! Policy: each step is one log line and has a time-out. Everything that was started is stopped in the opposite order, however
//! the run ends. If this process is killed, the kernel's death signals end its children.

mod backends;
mod child_metrics;
mod descriptors;
mod error;
mod migrate;
mod reload;
mod seed;
mod signals;
mod socket_activation;
mod systemd;
mod watchdog;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::attendance::{Attendance, Store};
use crate::config::{Config, LogFormat, PostgresService, RedisService};
use crate::database::migrations;
use crate::http;
use crate::managed::lock::DataDirLock;
use crate::managed::{distribution, mini_redis, privileges, shim};
use crate::telemetry::format::Format;
use crate::telemetry::log::Logging;
use crate::telemetry::metrics::Metrics;

use backends::Backends;
use signals::{SignalAction, Signals};
use watchdog::Watchdog;

pub use error::Error;
pub use migrate::with_database;
pub use reload::Reloadable;
pub use seed::SeedRecord;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The kernel's queue of connections that wait while all permits are taken.
const LISTEN_BACKLOG: u32 = 1024;
/// How long the children have to stop after a second signal.
const FORCED_STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the server has to close the remaining connections after the drain time-out.
const DRAIN_GRACE: Duration = Duration::from_secs(2);
/// How long the service manager waits for the migrations, which have no time-out of their own.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long the backends need beyond the steps with time-outs of their own: unpacking, and starting and stopping Redis.
const BACKEND_OVERHEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What `run` needs besides the configuration.
#[derive(Debug)]
pub struct Options {
    /// The configuration file that was read, for the log.
    pub config_file: Option<PathBuf>,
    /// The user the process became because it was started as root, for the log.
    pub user: Option<String>,
    /// The configuration to reload at SIGHUP; none for a demonstration.
    pub reload: Option<Reloadable>,
    /// Records to store after the migrations, before the first request is accepted.
    pub seed_records: Vec<SeedRecord>,
    /// Called once, when requests can be answered.
    pub on_ready: fn(&Ready),
}

/// The properties of a started appliance, for the banner.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The address it listens on, with the real port.
    pub listen: SocketAddr,
    /// The data directory.
    pub data_dir: PathBuf,
    /// PostgreSQL: origin and version.
    pub postgres: String,
    /// Redis: kind and address.
    pub redis: String,
}

/// How the appliance was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopMode {
    /// One signal: requests in flight are finished first.
    Graceful,
    /// A second signal: nothing is waited for.
    Forced,
}

/// Runs the appliance until a signal stops it (SIGTERM, SIGINT).
///
/// # Errors
/// One variant for each step of the start; everything that was started has been stopped by then.
pub async fn run(config: Config, options: Options) -> Result<(), Error> {
    let started = Instant::now();
    let logging = Logging::start(log_format(config.log.format), config.log.level)?;
    let mut signals = Signals::catch().map_err(Error::Signals)?;
    log_start(&config, &options);
    let inherited = socket_activation::listener()?;
    if inherited.is_none() {
        drop(listen(config.server.listen)?); // reports a taken port before anything is started
    }
    let _lock = lock_data_dir(&config)?;
    let (start_timeout, stop_timeout) = backend_timeouts(&config);
    let backends = tokio::select! {
        backends = systemd::with_extended_timeout("starting PostgreSQL and Redis", start_timeout, Backends::start(&config)) => backends?,
        signal = signals.next_stop() => return stopped_while_starting(signal),
    };
    let outcome = serve(&config, options, inherited, &backends, &logging, started, &mut signals).await;
    let stop_grace = if matches!(outcome, Ok(StopMode::Forced)) { FORCED_STOP_TIMEOUT } else { Duration::MAX };
    tokio::select! {
        stopped = timeout(stop_grace, systemd::with_extended_timeout("stopping PostgreSQL and Redis", stop_timeout, backends.stop())) => {
            if stopped.is_err() {
                tracing::warn!("the children are left to their death signal");
            }
        }
        signal = signals.next_stop() => tracing::warn!(signal, "stopping at once; the children are left to their death signal"),
    }
    tracing::info!("stopped");
    outcome.map(drop)
}

/// Everything between the start of the backends and their stop.
async fn serve(
    config: &Config,
    mut options: Options,
    inherited: Option<TcpListener>,
    backends: &Backends,
    logging: &Logging,
    started: Instant,
    signals: &mut Signals,
) -> Result<StopMode, Error> {
    let embedded = embedded_postgres().unwrap_or_else(|| "none".to_owned());
    let metrics = Arc::new(Metrics::new(VERSION, &embedded)?);
    let changelog = migrations::LoadedChangelog::load(&config.migrations)?;
    let migrating = migrations::run(&backends.database, &changelog, config.postgres.connect_timeout);
    let migration_timeout = config.postgres.connect_timeout + MIGRATION_TIMEOUT;
    let migrated = tokio::select! {
        migrated = systemd::with_extended_timeout("bringing the schema up to date", migration_timeout, migrating) => migrated?,
        signal = signals.next_stop() => return stopped_while_starting(signal).map(|()| StopMode::Graceful),
    };
    backends.grant_requests(migrated.applied).await?;
    metrics.migrations_applied.set(migrated.applied.try_into().unwrap_or(i64::MAX));
    metrics.migration_duration.set(migrated.duration.as_secs_f64());

    let pool = backends.pool(&config.postgres, &metrics)?;
    let format = config.api.date_format;
    let store = Arc::new(Store::new(pool, format, &metrics));
    let cache = backends.cache(&config.redis, &migrated.database_id, &metrics)?.map(Arc::new);
    let health = Arc::new(backends.health(store.clone(), cache.clone()));
    let attendance = Arc::new(Attendance::new(store.clone(), cache, format, metrics.clone()));
    let _child_metrics = child_metrics::ChildMetrics::start(backends.children(), logging.dropped(), metrics.clone());
    seed::store(&attendance, options.seed_records).await?;

    let socket_stays = inherited.is_some();
    let listener = match inherited {
        Some(listener) => listener,
        None => listen(config.server.listen)?,
    };
    let address = listener.local_addr().map_err(|source| Error::Listen { address: config.server.listen, source })?;
    let mut limits = config.server.clone();
    limits.max_connections = descriptors::clamp_connections(limits.max_connections, config.postgres.pool_size);
    let services = http::Services { attendance, health, metrics, access_log: logging.access() };
    let app = Arc::new(http::app_state(services, limits, config.log.access, socket_stays));
    let (stop, stopped) = oneshot::channel::<()>();
    let mut server = tokio::spawn(http::serve(listener, Arc::clone(&app), async {
        // An error means that the sender was dropped, which is a request to stop as well.
        let _ = stopped.await;
    }));
    let ready = Ready {
        listen: address,
        data_dir: config.data_dir.clone(),
        postgres: backends.postgres_kind(),
        redis: backends.redis_kind(),
    };
    let start_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%address, postgres = ready.postgres, redis = ready.redis, start_ms, "listening");
    systemd::ready(&format!("listening on {address}"));
    let watchdog = Watchdog::start(Arc::clone(&app));
    (options.on_ready)(&ready);

    let signal = loop {
        tokio::select! {
            action = signals.next_action() => match action {
                SignalAction::Stop(signal) => break signal,
                SignalAction::Reload => reload::reload(options.reload.as_mut(), &app, logging),
            },
            ended = &mut server => return Err(Error::Server(ended.err())),
        }
    };
    drop(watchdog);
    systemd::stopping();
    tracing::info!(signal, "stopping: requests in flight are finished");
    // It fails only if the server has already ended.
    let _ = stop.send(());
    let drain_timeout = config.server.drain_timeout + DRAIN_GRACE;
    let stop = tokio::select! {
        drained = systemd::with_extended_timeout("finishing the requests in flight", drain_timeout, timeout(drain_timeout, &mut server)) => {
            match drained {
                Ok(_) => tracing::info!("all requests are finished"),
                Err(_) => tracing::warn!("some requests did not finish and are cut off"),
            }
            StopMode::Graceful
        }
        signal = signals.next_stop() => {
            tracing::warn!(signal, "stopping at once");
            StopMode::Forced
        }
    };
    server.abort();
    store.close();
    Ok(stop)
}

fn log_start(config: &Config, options: &Options) {
    let config_file = options.config_file.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    tracing::info!(
        version = VERSION,
        pid = std::process::id(),
        user = options.user.as_deref().unwrap_or("as started"),
        config_file,
        data_dir = %config.data_dir.display(),
        "starting"
    );
    if options.user.as_deref() == Some(privileges::FALLBACK_USER) {
        tracing::warn!(
            "started as root, without a user of its own this runs as '{user}', as other services may, which could then read its data; \
             stop it, create a user (useradd --system attendance-api), and give it the data (chown -Rh attendance-api: {dir})",
            user = privileges::FALLBACK_USER,
            dir = config.data_dir.display()
        );
    }
}

fn stopped_while_starting(signal: &str) -> Result<(), Error> {
    tracing::info!(signal, "told to stop while starting");
    Ok(())
}

fn log_format(format: LogFormat) -> Format {
    match format {
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
        LogFormat::Auto => Format::for_stdout(),
    }
}

/// Takes the lock on the data directory, which keeps a second appliance out. Without managed services there is no data to protect.
fn lock_data_dir(config: &Config) -> Result<Option<DataDirLock>, Error> {
    Ok(if needs_data_dir(config) { Some(DataDirLock::acquire(&config.data_dir)?) } else { None })
}

fn needs_data_dir(config: &Config) -> bool {
    matches!(config.postgres.service, PostgresService::Managed { .. })
        || matches!(config.redis.service, RedisService::Managed { .. })
}

/// The time-outs for the start and the stop of the managed services.
fn backend_timeouts(config: &Config) -> (Duration, Duration) {
    match &config.postgres.service {
        PostgresService::Managed(managed) => (
            managed.init_timeout + managed.start_timeout + BACKEND_OVERHEAD_TIMEOUT,
            managed.stop_timeout + BACKEND_OVERHEAD_TIMEOUT,
        ),
        PostgresService::External(_) => (BACKEND_OVERHEAD_TIMEOUT, BACKEND_OVERHEAD_TIMEOUT),
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(LISTEN_BACKLOG)
    };
    bind().map_err(|source| Error::Listen { address, source })
}

/// Describes the PostgreSQL that would be managed, by origin and version. Starts and writes nothing.
///
/// # Errors
/// When there is no PostgreSQL to run.
pub fn describe_postgres(config: &Config) -> Result<String, Error> {
    let configured = match &config.postgres.service {
        PostgresService::Managed(managed) => managed.bin_dir.as_deref(),
        PostgresService::External(_) => None,
    };
    Ok(distribution::Source::find(configured)?.to_string())
}

/// The version of the embedded PostgreSQL, if this build embeds one.
pub fn embedded_postgres() -> Option<String> {
    distribution::embedded_version()
}

/// The OpenAPI document as JSON.
pub fn openapi() -> String {
    http::openapi_json()
}

/// If started as root, becomes an unprivileged user and returns its name. Must be called before any thread is started. The data
/// directory is made and given to that user, unless both services are external.
///
/// # Errors
/// When there is no such user, or it cannot use the data directory.
pub fn drop_privileges(config: &Config) -> Result<Option<String>, Error> {
    Ok(privileges::drop_to_unprivileged(needs_data_dir(config).then_some(config.data_dir.as_path()))?)
}

/// Becomes the program of a supervised child; returns only when that fails.
pub fn supervised_child(parent: i32, signal: &str, command: &[OsString]) -> Error {
    shim::run_supervised_child(parent, signal, command).into()
}

/// Serves mini-redis on the listening socket that is standard input.
///
/// # Errors
/// When standard input is not a listening socket.
pub fn mini_redis_child() -> Result<(), Error> {
    Ok(mini_redis::run_mini_redis()?)
}

/// Runs pg-embed, which downloads PostgreSQL or makes a cluster.
///
/// # Errors
/// The error of pg-embed.
#[cfg(feature = "download")]
pub async fn pg_embed_child(words: &[OsString]) -> Result<(), Error> {
    Ok(crate::managed::pg_embed::run_pg_embed_child(words).await?)
}
