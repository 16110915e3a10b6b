//! Start order and stop order of the whole.
//!
//! Policy: each step is one log line and has a bound. What was started is stopped again, in the opposite order,
//! however the run ends; and should this process be killed, the children's death signals do it.

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
use crate::http::{self, AppState};
use crate::managed::lock::DataDirLock;
use crate::managed::{distribution, mini_redis, privileges, shim};
use crate::telemetry::log::{Format, Logging};
use crate::telemetry::metrics::Metrics;

use backends::Backends;
use signals::{SignalAction, Signals};
use watchdog::Watchdog;

pub use error::Error;
pub use migrate::with_database;
pub use reload::Reloadable;
pub use seed::SeedRecord;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Connections the kernel keeps waiting while all permits are taken.
const LISTEN_QUEUE: u32 = 1024;
/// After a second signal, the children get this long to stop.
const FORCED_STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// Past the drain time-out, the server gets this long to cut off what is left.
const DRAIN_GRACE: Duration = Duration::from_secs(2);
/// Migrations have no time-out of their own; the service manager waits this long for them.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(3600);
/// What the backends do besides the steps that have a time-out of their own: unpack, start and stop the Redis.
const BACKEND_OVERHEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What to do besides serving.
#[derive(Debug)]
pub struct Options {
    /// The configuration file that was read, for the log.
    pub config_file: Option<PathBuf>,
    /// The user the process became because it was started as root, for the log.
    pub user: Option<String>,
    /// The configuration to read again at SIGHUP, where there is one.
    pub reload: Option<Reloadable>,
    /// Records to store once the schema is up to date, before anybody is served.
    pub seed_records: Vec<SeedRecord>,
    /// Told once, when the first request can be answered.
    pub ready: fn(&Ready),
}

/// What a started appliance can say about itself.
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

/// How the appliance was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopMode {
    /// One signal: requests in flight are finished first.
    Graceful,
    /// A second signal: nothing is waited for.
    Forced,
}

/// Runs the appliance until it is told to stop (SIGTERM, SIGINT).
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
        drop(listen(config.server.listen)?); // a port that is taken is told before anything is started
    }
    let _lock = lock(&config)?;
    let (start_bound, stop_bound) = backend_bounds(&config);
    let backends = tokio::select! {
        backends = systemd::with_extended_timeout("starting PostgreSQL and Redis", start_bound, Backends::start(&config)) => backends?,
        signal = signals.next_stop() => return stopped_while_starting(signal),
    };
    let outcome = serve(&config, options, inherited, &backends, &logging, started, &mut signals).await;
    // A second signal has already been given where the patience is short.
    let patience = if matches!(outcome, Ok(StopMode::Forced)) { FORCED_STOP_TIMEOUT } else { Duration::MAX };
    tokio::select! {
        stopped = timeout(patience, systemd::with_extended_timeout("stopping PostgreSQL and Redis", stop_bound, backends.stop())) => {
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
    let chosen = migrations::LoadedChangelog::load(&config.migrations)?;
    let migrating = migrations::run(&backends.database, &chosen, config.postgres.connect_timeout);
    let bound = config.postgres.connect_timeout + MIGRATION_TIMEOUT;
    let migrated = tokio::select! {
        migrated = systemd::with_extended_timeout("bringing the schema up to date", bound, migrating) => migrated?,
        signal = signals.next_stop() => return stopped_while_starting(signal).map(|()| StopMode::Graceful),
    };
    metrics.migrations_applied.set(migrated.applied.try_into().unwrap_or(i64::MAX));
    metrics.migration_duration.set(migrated.duration.as_secs_f64());

    let pool = backends.pool(&config.postgres, &metrics)?;
    let format = config.api.date_format;
    let store = Arc::new(Store::new(pool, format, &metrics));
    let cache = backends.cache(&config.redis, &migrated.database_id, &metrics)?.map(Arc::new);
    let health = Arc::new(backends.health(store.clone(), cache.clone()));
    let attendance = Arc::new(Attendance::new(store.clone(), cache, format, metrics.clone()));
    let _watch = child_metrics::ChildMetrics::start(backends.children(), logging.dropped(), metrics.clone());
    seed::store(&attendance, options.seed_records).await?;

    let socket_stays = inherited.is_some();
    let listener = match inherited {
        Some(listener) => listener,
        None => listen(config.server.listen)?,
    };
    let address = listener.local_addr().map_err(|source| Error::Listen { address: config.server.listen, source })?;
    let mut limits = config.server.clone();
    limits.max_connections = descriptors::clamp_connections(limits.max_connections, config.postgres.pool_size);
    let app =
        Arc::new(AppState::new(attendance, health, metrics, limits, config.log.access, logging.access(), socket_stays));
    let (stop, stopped) = oneshot::channel::<()>();
    let mut server = tokio::spawn(http::serve(listener, Arc::clone(&app), async {
        // A sender that is gone means the same.
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
    (options.ready)(&ready);

    let signal = loop {
        tokio::select! {
            wanted = signals.next_action() => match wanted {
                SignalAction::Stop(signal) => break signal,
                SignalAction::Reload => reload::take_over(options.reload.as_mut(), &app, logging),
            },
            ended = &mut server => return Err(Error::Server(ended.err())),
        }
    };
    drop(watchdog);
    systemd::stopping();
    tracing::info!(signal, "stopping: requests in flight are finished");
    // Dropping it would do as well; nobody listens only if the server is gone.
    let _ = stop.send(());
    let drain = config.server.drain_timeout + DRAIN_GRACE;
    let stop = tokio::select! {
        drained = systemd::with_extended_timeout("finishing the requests in flight", drain, timeout(drain, &mut server)) => {
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

/// The lock that keeps two appliances with children apart; one without children keeps no data.
fn lock(config: &Config) -> Result<Option<DataDirLock>, Error> {
    Ok(if keeps_data(config) { Some(DataDirLock::acquire(&config.data_dir)?) } else { None })
}

fn keeps_data(config: &Config) -> bool {
    matches!(config.postgres.service, PostgresService::Managed { .. })
        || matches!(config.redis.service, RedisService::Managed { .. })
}

/// How long the start and the stop of what is managed may take.
fn backend_bounds(config: &Config) -> (Duration, Duration) {
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
        socket.listen(LISTEN_QUEUE)
    };
    bind().map_err(|source| Error::Listen { address, source })
}

/// Which managed PostgreSQL would be used: origin and version. Starts and writes nothing.
///
/// # Errors
/// When there is none.
pub fn describe_postgres(config: &Config) -> Result<String, Error> {
    let configured = match &config.postgres.service {
        PostgresService::Managed(managed) => managed.bin_dir.as_deref(),
        PostgresService::External(_) => None,
    };
    Ok(distribution::Source::find(configured)?.to_string())
}

/// The version of the embedded PostgreSQL, where one is embedded.
pub fn embedded_postgres() -> Option<String> {
    distribution::embedded_version()
}

/// The OpenAPI document.
pub fn openapi() -> String {
    http::openapi::json()
}

/// Started as root: becomes an unprivileged user and returns its name. Before any thread is started. Where everything is
/// external, no data directory is made or needed.
///
/// # Errors
/// When there is no such user or it cannot use the data directory.
pub fn drop_privileges(config: &Config) -> Result<Option<String>, Error> {
    Ok(privileges::drop_to_unprivileged(keeps_data(config).then_some(config.data_dir.as_path()))?)
}

/// Becomes a supervised child; returns only when that fails.
pub fn supervised_child(parent: i32, signal: &str, command: &[OsString]) -> Error {
    shim::run_supervised_child(parent, signal, command).into()
}

/// Serves mini-redis on the socket passed as standard input.
///
/// # Errors
/// When standard input is no listening socket.
pub fn mini_redis_child() -> Result<(), Error> {
    Ok(mini_redis::run_mini_redis()?)
}

/// Downloads PostgreSQL or makes a cluster with pg-embed.
///
/// # Errors
/// What pg-embed says.
#[cfg(feature = "download")]
pub async fn pg_embed_child(words: &[OsString]) -> Result<(), Error> {
    Ok(crate::managed::pg_embed::run_pg_embed_child(words).await?)
}
