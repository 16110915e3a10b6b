//! The start order and the stop order of the process.
//!
//! Policy: each step is one log line and has a time-out. Everything that was started is stopped in the opposite order, however
//! the run ends. If this process is killed, the kernel's death signals end its children.

mod access_command;
mod access_control;
mod address_file;
mod backends;
pub mod backup;
mod backup_monitor;
mod child_metrics;
mod descriptors;
mod disk_monitor;
mod error;
mod foreign_writes;
mod migrate;
mod notify_socket;
mod reload;
mod seed;
mod signals;
mod socket_activation;
mod systemd;
mod watchdog;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::attendance::{Attendance, CalendarRule, ListLimits, RecordFormat, Rules, Storage, Store};
use crate::config::{Config, LogFormat, PostgresService, RedisService};
use crate::database::migrations::{self, MigrationSummary, TableSettings};
use crate::http;
use crate::managed::lock::DataDirLock;
use crate::managed::{distribution, mini_redis, privileges, shim};
use crate::operate::archiver::Archiver;
use crate::operate::control::{ControlServer, EndCredentials};
use crate::operate::layout::Layout;
use crate::operate::operator::Operator;
use crate::operate::schedule::Schedule;
use crate::operate::{backup_file, journal, scratch};
use crate::telemetry::format::Format;
use crate::telemetry::log::Logging;
use crate::telemetry::metrics::Metrics;

use address_file::AddressFiles;
use backends::Backends;
use backup_monitor::BackupMonitor;
use disk_monitor::DiskMonitor;
use foreign_writes::ForeignWrites;
use signals::{SignalAction, Signals};
use watchdog::Watchdog;

pub use access_command::with_access;
pub use error::Error;
pub use migrate::{require_database, with_database};
pub use reload::Reloadable;
pub use seed::SeedRecord;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The kernel's queue of connections that wait to be accepted. By default the kernel allows no more than this.
const LISTEN_BACKLOG: u32 = 4096;
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
    let _lock = lock_data_dir(&config).await?;
    let (start_timeout, stop_timeout) = backend_timeouts(&config);
    let backends = tokio::select! {
        backends = systemd::with_extended_timeout("starting PostgreSQL and Redis", start_timeout, Backends::start(&config)) => backends?,
        signal = signals.next_stop() => return stopped_while_starting(signal),
    };
    // In a box, because it is large and runs once.
    let outcome = Box::pin(serve(&config, options, inherited, &backends, &logging, started, &mut signals)).await;
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

/// Everything between the start of the backends and their stop: the migrations, the domain, the server, and the wait for a signal.
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
    let shown = options.reload.as_ref().map(Reloadable::show).unwrap_or_default();
    let operator = backup::of_appliance(config, backends.endpoints(), shown)?;
    let migrated = match migrate_schema(config, backends, &operator, &metrics, signals).await? {
        Some(migrated) => migrated,
        None => return Ok(StopMode::Graceful),
    };

    let session_name = foreign_writes::session_name(config)?;
    let pool = Arc::new(backends.pool(&config.postgres, &session_name, &metrics)?);
    let format = RecordFormat::of(&config.api);
    let storage = Arc::new(Storage::default());
    let _disk_monitor = match backends.data_disk() {
        Some(disk) => DiskMonitor::start(disk, storage.clone(), metrics.clone()).await,
        None => None,
    };
    let store = Arc::new(Store::new(Arc::clone(&pool), storage.clone(), format, &metrics));
    let foreign_writes = ForeignWrites::prepare(config, &backends.requests, migrated.trigger_error.as_ref()).await?;
    let cache = backends.cache(&config.redis, &migrated.database_id, &foreign_writes, &metrics)?.map(Arc::new);
    let _notifications = foreign_writes.watch(cache.as_ref(), &session_name, metrics.foreign_changes.clone()).await;
    // In a box, because it is large and runs once.
    let (access_control, _credential_changes) =
        Box::pin(access_control::start(config, backends, pool, &migrated.database_id, &metrics)).await?;
    let plan = backup::plan(config);
    let archiver = backup::archiver(config, &operator, backends.wal_receiver()).await;
    let archive = archiver.as_ref().map(Archiver::status);
    let backup_monitor = BackupMonitor::start(plan.as_ref().map(|_| operator.status.subscribe()), archive, &metrics);
    let backup_health = backup_monitor.as_ref().map(BackupMonitor::health);
    let health = Arc::new(backends.health(store.clone(), cache.clone(), storage, backup_health));
    let list_limits =
        ListLimits { max_lists: config.server.max_lists, cache_memory: backends::local_memory(&config.redis) };
    let rules = Rules::of(&config.attendance);
    let calendar_rule = CalendarRule::new(config.attendance.weekly_off, config.attendance.time_zone.clone());
    let attendance =
        Arc::new(Attendance::new(store.clone(), cache, format, rules, calendar_rule, list_limits, metrics.clone()));
    let _child_metrics = child_metrics::ChildMetrics::start(backends.children(), logging.dropped(), metrics.clone());
    seed::store(&attendance, options.seed_records).await?;

    let end_credentials = access_control::end_credentials(access_control.as_ref());
    let services = http::Services { attendance, access_control, health, metrics, access_log: logging.access() };
    let mut server = RunningServer::start(config, inherited, services)?;
    let data_dir = needs_data_dir(config).then_some(config.data_dir.as_path());
    let _address_files = AddressFiles::write(data_dir, server.address);
    let ready = Ready {
        listen: server.address,
        data_dir: config.data_dir.clone(),
        postgres: backends.postgres_kind(),
        redis: backends.redis_kind(),
    };
    let start_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(address = %ready.listen, postgres = ready.postgres, redis = ready.redis, start_ms, "listening");
    systemd::ready(&format!("listening on {}", ready.listen));
    let watchdog = Watchdog::start(Arc::clone(&server.app));
    let _control = control_server(config, &operator, end_credentials);
    let _schedule = plan.map(|plan| Schedule::start(Arc::clone(&operator), plan));
    (options.on_ready)(&ready);

    let signal = loop {
        tokio::select! {
            action = signals.next_action() => match action {
                SignalAction::Stop(signal) => break signal,
                SignalAction::Reload => reload::reload(options.reload.as_mut(), &server.app, logging),
            },
            ended = &mut server.task => return Err(Error::Server(ended.err())),
        }
    };
    drop(watchdog);
    systemd::stopping();
    tracing::info!(signal, "stopping: requests in flight are finished");
    let stop_mode = server.drain(config.server.drain_timeout + DRAIN_GRACE, signals).await;
    if let (Some(archiver), StopMode::Graceful) = (&archiver, &stop_mode) {
        archiver.prepare_stop().await;
    }
    store.close();
    Ok(stop_mode)
}

/// The socket for commands. Without it the appliance serves as well: the disk may be full. Without a data directory of its own it has none.
fn control_server(
    config: &Config,
    operator: &Arc<Operator>,
    end_credentials: Option<EndCredentials>,
) -> Option<ControlServer> {
    if !needs_data_dir(config) {
        return None;
    }
    ControlServer::start(Arc::clone(operator), end_credentials)
        .inspect_err(|error| tracing::warn!(%error, "commands cannot reach this appliance"))
        .ok()
}

/// Brings the schema up to date, and then grants the requests their privileges. `None` if a signal stops the appliance meanwhile.
async fn migrate_schema(
    config: &Config,
    backends: &Backends,
    operator: &Operator,
    metrics: &Metrics,
    signals: &mut Signals,
) -> Result<Option<MigrationSummary>, Error> {
    let changelog = migrations::LoadedChangelog::load(&config.migrations)?;
    let settings =
        TableSettings { is_watched: config.postgres.watch_foreign_writes, is_strict: config.employees.strict };
    let migrating = async {
        if backends.endpoints().is_some() {
            // In a box, because it is large and seldom does anything.
            Box::pin(backup::before_upgrade(config, operator, &backends.database, &changelog)).await?;
        }
        let timeout = config.postgres.connect_timeout;
        let migrated = migrations::run(&backends.database, &changelog, timeout, Some(settings)).await?;
        if backends.endpoints().is_some() {
            backup::record_version(operator);
        }
        Ok::<_, Error>(migrated)
    };
    let migration_timeout = config.postgres.connect_timeout + MIGRATION_TIMEOUT;
    let migrated = tokio::select! {
        migrated = systemd::with_extended_timeout("bringing the schema up to date", migration_timeout, migrating) => migrated?,
        signal = signals.next_stop() => return stopped_while_starting(signal).map(|()| None),
    };
    backends.grant_requests(migrated.applied).await?;
    metrics.migrations_applied.set(migrated.applied.try_into().unwrap_or(i64::MAX));
    metrics.migration_duration.set(migrated.duration.as_secs_f64());
    Ok(Some(migrated))
}

/// The HTTP server in its task.
struct RunningServer {
    app: Arc<http::AppState>,
    address: SocketAddr,
    task: JoinHandle<()>,
    /// Sending on it, or dropping it, begins the drain.
    stop: oneshot::Sender<()>,
}

impl RunningServer {
    /// Listens, on the inherited socket if there is one, and accepts connections.
    fn start(config: &Config, inherited: Option<TcpListener>, services: http::Services) -> Result<Self, Error> {
        let socket_outlives_process = inherited.is_some();
        let listener = match inherited {
            Some(listener) => listener,
            None => listen(config.server.listen)?,
        };
        let address =
            listener.local_addr().map_err(|source| Error::Listen { address: config.server.listen, source })?;
        let mut limits = config.server.clone();
        limits.max_connections = descriptors::clamp_connections(limits.max_connections, config.postgres.pool_size);
        let app = Arc::new(http::app_state(services, limits, config.api, config.log.access, socket_outlives_process));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(http::serve(listener, Arc::clone(&app), async {
            // An error means that the sender was dropped, which is a request to stop as well.
            let _ = stopped.await;
        }));
        Ok(Self { app, address, task, stop })
    }

    /// Finishes the requests in flight, within the time-out and until a second signal.
    async fn drain(self, drain_timeout: Duration, signals: &mut Signals) -> StopMode {
        let Self { mut task, stop, .. } = self;
        // It fails only if the server has already ended.
        let _ = stop.send(());
        let stop_mode = tokio::select! {
            drained = systemd::with_extended_timeout("finishing the requests in flight", drain_timeout, timeout(drain_timeout, &mut task)) => {
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
        task.abort();
        stop_mode
    }
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
    tracing::info!(signal, "received a signal to stop while starting");
    Ok(())
}

fn log_format(format: LogFormat) -> Format {
    match format {
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
        LogFormat::Auto => Format::for_stdout(),
    }
}

/// Takes the lock on the data directory, which keeps a second appliance out. Without managed services and backups there is no data to protect.
async fn lock_data_dir(config: &Config) -> Result<Option<DataDirLock>, Error> {
    Ok(if needs_data_dir(config) { Some(lock_data_dir_always(config).await?) } else { None })
}

/// Takes the lock, and then finishes or undoes what a process that was killed has left.
async fn lock_data_dir_always(config: &Config) -> Result<DataDirLock, Error> {
    let lock = DataDirLock::acquire(&config.data_dir)?;
    let layout = Layout::new(&config.data_dir);
    journal::recover(&layout)?;
    scratch::clean_up(&layout).await?;
    backup_file::clean_up(&layout.default_backups())?;
    Ok(lock)
}

fn needs_data_dir(config: &Config) -> bool {
    matches!(config.postgres.service, PostgresService::Managed { .. })
        || matches!(config.redis.service, RedisService::Managed { .. })
        || config.backup.schedule.is_some()
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
    http::openapi_json(false)
}

/// Where the appliance with this data directory listens, if it runs and this user may read its files.
pub fn running_address(data_dir: &Path) -> Option<SocketAddr> {
    address_file::of_data_dir(data_dir)
}

/// Where the service of the package listens, if it runs.
pub fn service_address() -> Option<SocketAddr> {
    address_file::of_service()
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
pub fn supervised_child(
    parent: i32,
    signal: &str,
    title: Option<&OsStr>,
    niceness: Option<i32>,
    command: &[OsString],
) -> Error {
    shim::run_supervised_child(parent, signal, title, niceness, command).into()
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
