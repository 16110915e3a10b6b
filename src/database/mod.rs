//! Connections to PostgreSQL, statements shared by requests, and the migrations of the schema.
//!
//! Policy: at the start, an error that may pass (the server is not up yet) is logged and tried again for a limited
//! time; one that cannot (a rejected password, a missing database, a server that is too old) ends the start at once with a
//! message that says what to do. This module is independent of who runs the server, of attendance and of HTTP.

mod announcement_burst;
mod batcher;
mod cancellation;
mod capacity;
pub mod change_triggers;
mod columns;
mod error;
mod lease;
pub mod migrations;
pub mod notifications;
mod pool;
mod pooler;
mod query_error;
pub mod strict_directory;
mod tls;
mod tunnel;
mod unavailable_error;
mod unix_socket;

use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Connect, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use liquibase_compat::{Lock, LockOptions};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::config::{Host, SslMode as WireSslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{ExternalPostgres, Pooler, SettingNames, SslMode};

pub use batcher::{BatchError, BatchOperation, Batcher, DetachOnDrop};
use cancellation::UntilClosed;
pub use columns::Columns;
pub use error::{AttemptError, Error, ReadOnlyReason, with_causes};
pub use lease::{Lease, Parameter};
pub use pool::{ConnectionPool, PoolMetrics};
use pooler::KnownPooling;
pub use pooler::Pooling;
pub use query_error::{ErrorClass, QueryError, WriteObstacle, repeat_refused_write};
pub use tunnel::Tunnel;
pub use unavailable_error::{DiskProblem, UnavailableError};
use unix_socket::UnixSocket;

/// The oldest server that is supported, as `server_version_num`.
const MIN_SERVER_VERSION: u32 = 120_000;
/// One attempt to connect at the start.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time between two attempts, each of which is logged.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The last attempt at the start begins this long before the end of the time.
const LAST_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(200);
/// One attempt to connect for a request, whose own deadline may be shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The first statement of a new connection of the pool that has a session to itself. The server must end a statement whose caller has given up, which is after
/// 30 s at the latest, because closing a connection does not end its statement.
const SESSION_SETTINGS: &str = "SET statement_timeout = '35s'";

/// The `application_name` of the sessions of a pooler. A pooler leaves it to the next client that has none of its own, whose writes have to be
/// announced (`change_triggers.rs`).
const SHARED_SESSION_NAME: &str = "attendance-api-pooled";

/// The `application_name` of every session that does not serve requests. What it writes, such as a changeset that changes records, is announced
/// to those that do.
const MAINTENANCE_NAME: &str = "attendance-api-maintenance";

/// How to connect, besides the address. The default is what the appliance does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionParameters {
    /// Hosts and ports that are tried after the first.
    pub further_hosts: Vec<(String, u16)>,
    /// Options of the session, as `-c name=value`.
    pub options: Option<String>,
    /// The name of this client in `pg_stat_activity`.
    pub application_name: Option<String>,
    /// The limit for connecting to one host.
    pub connect_timeout: Option<Duration>,
    /// The limit for connecting and logging in.
    pub login_timeout: Option<Duration>,
    /// The limit for the answer to a statement. The server ends the statement.
    pub read_timeout: Option<Duration>,
    /// Which of several servers is accepted.
    pub target: TargetSessionAttrs,
    /// A file of the certificates to trust, instead of those of the system.
    pub root_certificates: Option<PathBuf>,
    /// What is known of a pooler.
    pub pooler: Pooler,
}

impl Default for ConnectionParameters {
    fn default() -> Self {
        Self {
            further_hosts: Vec::new(),
            options: None,
            application_name: None,
            connect_timeout: None,
            login_timeout: None,
            read_timeout: None,
            target: TargetSessionAttrs::Any,
            root_certificates: None,
            pooler: Pooler::Auto,
        }
    }
}

/// A database and how to reach it.
#[derive(Clone)]
pub struct Database {
    config: Config,
    /// The limit for one attempt to connect and log in.
    attempt_timeout: Duration,
    connector: Connector,
    /// `host:port/database` or the socket directory, for messages. No secrets.
    address: String,
    pooling: KnownPooling,
    /// The settings that name an external server, for messages.
    names: Option<Arc<SettingNames>>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Database {
    /// A server that is reached by TCP.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn external(at: &ExternalPostgres) -> Result<Self, Error> {
        let parameters = ConnectionParameters { pooler: at.pooler, ..ConnectionParameters::default() };
        Self::with_parameters(at, &parameters)
    }

    /// A server that is reached by TCP, with parameters.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn with_parameters(at: &ExternalPostgres, parameters: &ConnectionParameters) -> Result<Self, Error> {
        let mut config = Config::new();
        config.host(&at.host).port(at.port).user(&at.user).dbname(&at.database);
        if !at.password.is_empty() {
            config.password(at.password.expose());
        }
        config.ssl_mode(match at.sslmode {
            SslMode::Disable => WireSslMode::Disable,
            SslMode::Prefer => WireSslMode::Prefer,
            SslMode::Require | SslMode::VerifyFull => WireSslMode::Require,
        });
        config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(10));
        let tls = match at.sslmode {
            SslMode::VerifyFull => {
                tls::verifying_connector(parameters.root_certificates.as_deref(), &at.names.sslmode)?
            }
            _ => tls::connector()?,
        };
        let mut address = format!("{}:{}", at.host, at.port);
        for (host, port) in &parameters.further_hosts {
            config.host(host).port(*port);
            address.push_str(&format!(",{host}:{port}"));
        }
        address.push_str(&format!("/{}", at.database));
        let mut config = with_common_settings(config);
        config.target_session_attrs(parameters.target);
        let mut options: Vec<String> = parameters.options.iter().cloned().collect();
        if let Some(limit) = parameters.read_timeout {
            options.push(format!("-c statement_timeout={}s", limit.as_secs()));
            config.tcp_user_timeout(limit);
        }
        if !options.is_empty() {
            config.options(options.join(" "));
        }
        if let Some(name) = &parameters.application_name {
            config.application_name(name);
        }
        if let Some(limit) = parameters.connect_timeout {
            config.connect_timeout(limit);
        }
        let needed = parameters.connect_timeout.unwrap_or_default()
            * (1 + u32::try_from(parameters.further_hosts.len()).unwrap_or(0));
        let attempt_timeout = parameters.login_timeout.unwrap_or_else(|| ATTEMPT_TIMEOUT.max(needed));
        let pooling = KnownPooling::configured(parameters.pooler);
        // A host may also be the directory of a socket.
        let tcp = (!at.host.starts_with('/')).then(|| (at.host.clone(), at.port));
        let names = Some(Arc::new(at.names.clone()));
        let connector = Connector { tls, socket: None, tcp };
        Ok(Self { config, attempt_timeout, connector, address, pooling, names })
    }

    /// A server on this machine that listens on a Unix socket. `config` has the socket's directory, the user and the database.
    ///
    /// # Errors
    /// When the TLS library fails to start.
    pub fn on_unix_socket(mut config: Config, socket: PathBuf) -> Result<Self, Error> {
        config.ssl_mode(WireSslMode::Disable);
        let directory = socket.parent().unwrap_or(&socket).display();
        let address = format!("{directory}/{}", config.get_dbname().unwrap_or_default());
        let connector = Connector { tls: tls::connector()?, socket: Some(socket), tcp: None };
        let config = with_common_settings(config);
        let pooling = KnownPooling::none();
        Ok(Self { config, attempt_timeout: ATTEMPT_TIMEOUT, connector, address, pooling, names: None })
    }

    /// `host:port/database` or the socket directory.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The settings that name it; none if it is managed.
    fn names(&self) -> Option<Arc<SettingNames>> {
        self.names.clone()
    }

    /// Its servers: host name, address or socket directory, and port.
    pub fn servers(&self) -> Vec<(String, u16)> {
        let host = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        self.config.get_hosts().iter().map(host).zip(self.config.get_ports().iter().copied()).collect()
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }

    /// Opens a connection outside the pool, checks the server's version, and finds out about a pooler. If the server is not up yet, tries again for exactly
    /// `connect_timeout`, with a log line a second; a time of zero allows one attempt. The name of the host is looked up for each attempt.
    ///
    /// # Errors
    /// When the server cannot be reached in time, rejects the user, or cannot be used.
    pub async fn connect(&self, connect_timeout: Duration) -> Result<Client, Error> {
        let client = self.connect_to_read(connect_timeout).await?;
        self.recognise_pooler(&client).await?;
        Ok(client)
    }

    /// As [`Database::connect`], without finding out about a pooler, which takes a second connection. It is for statements that keep nothing in
    /// the session; [`Database::lock`] finds out.
    ///
    /// # Errors
    /// As [`Database::connect`].
    pub async fn connect_to_read(&self, connect_timeout: Duration) -> Result<Client, Error> {
        let started = Instant::now();
        let left = || connect_timeout.saturating_sub(started.elapsed());
        let unreachable = |source| {
            let (address, names) = (self.address.clone(), self.names());
            Error::Unreachable { address, waited: connect_timeout, names, source }
        };
        let mut last = None;
        loop {
            let is_only_attempt = connect_timeout.is_zero();
            let limit = match is_only_attempt {
                true => self.attempt_timeout,
                false => self.attempt_timeout.min(left().max(LAST_ATTEMPT_TIMEOUT)),
            };
            let error = match timeout(limit, self.open()).await {
                Ok(Ok(client)) => return self.check_version(client).await,
                Ok(Err(error)) => self.as_transient(error)?,
                // A last attempt that was shorter than others says less than the one before it.
                Err(_) => last.filter(|_| limit < self.attempt_timeout).unwrap_or(AttemptError::Timeout(limit)),
            };
            let rest = left();
            if rest <= LAST_ATTEMPT_TIMEOUT {
                sleep(rest).await;
                return Err(unreachable(error));
            }
            tracing::warn!(
                address = self.address,
                reason = error.to_string(),
                waited_s = started.elapsed().as_secs(),
                patience_s = connect_timeout.as_secs(),
                "waiting for PostgreSQL"
            );
            sleep(RETRY_INTERVAL.min(rest.saturating_sub(LAST_ATTEMPT_TIMEOUT))).await;
            last = Some(error);
        }
    }

    /// Opens a connection outside the pool, in one attempt and without a check of the server's version.
    ///
    /// # Errors
    /// When the server cannot be reached or rejects the user.
    pub async fn open(&self) -> Result<Client, tokio_postgres::Error> {
        Ok(self.connector.open(&self.config).await?.0)
    }

    /// Like [`Database::open`]; `observer` is called with the channel and the payload of each notification, before the
    /// answer to any later statement.
    async fn open_observed(
        &self,
        observer: impl FnMut(&str, &str) + Send + 'static,
    ) -> Result<Client, tokio_postgres::Error> {
        Ok(self.connector.open_observed(&self.config, observer).await?.0)
    }

    /// Whether connections have a session to themselves, as far as that is known: [`Database::connect`] finds out.
    pub fn pooling(&self) -> Pooling {
        self.pooling.get()
    }

    /// Takes the lock of the migrations with `client`, a connection to this database, after finding out about a pooler if that is not known yet.
    ///
    /// # Errors
    /// When another process holds it for too long, or a connection fails.
    pub async fn lock<'c>(&self, client: &'c mut Client, options: &LockOptions) -> Result<Lock<'c>, Error> {
        self.recognise_pooler(client).await?;
        if self.pooling() == Pooling::Session {
            return Ok(Lock::acquire(client, options).await?);
        }
        let unreachable = |source| {
            let (address, waited) = (self.address.clone(), self.attempt_timeout);
            Error::Unreachable { address, waited, names: self.names(), source }
        };
        let keeper = match timeout(self.attempt_timeout, self.open()).await {
            Ok(keeper) => keeper.map_err(|error| unreachable(AttemptError::Connect(error)))?,
            Err(_) => return Err(unreachable(AttemptError::Timeout(self.attempt_timeout))),
        };
        Ok(Lock::acquire_beside(client, keeper, options).await?)
    }

    /// The error of an attempt that may be repeated, or the error that will not pass.
    fn as_transient(&self, error: tokio_postgres::Error) -> Result<AttemptError, Error> {
        let address = self.address.clone();
        match error.code().map(SqlState::code) {
            Some("28P01" | "28000") => {
                let user = self.config.get_user().unwrap_or_default().to_owned();
                Err(Error::Refused { address, user, names: self.names(), source: error })
            }
            // The server asks for a password, and there is none.
            None if error.to_string().starts_with("invalid configuration") => {
                let user = self.config.get_user().unwrap_or_default().to_owned();
                Err(Error::Refused { address, user, names: self.names(), source: error })
            }
            Some("3D000") => Err(Error::NoDatabase { address, names: self.names(), source: error }),
            _ if pooler::has_refused_login(&error) => {
                let user = self.config.get_user().unwrap_or_default().to_owned();
                Err(Error::Refused { address, user, names: self.names(), source: error })
            }
            _ if pooler::has_no_database(&error) => {
                Err(Error::NoDatabase { address, names: self.names(), source: error })
            }
            _ => Ok(AttemptError::Connect(error)),
        }
    }

    async fn check_version(&self, client: Client) -> Result<Client, Error> {
        let query = "SELECT current_setting('server_version_num'), current_setting('server_version')";
        let row = match timeout(ATTEMPT_TIMEOUT, client.query_typed_one(query, &[])).await {
            Ok(row) => row.map_err(|error| Error::Statement { what: "ask for its version", source: error })?,
            Err(_) => {
                let source = AttemptError::NoAnswer;
                let (address, names) = (self.address.clone(), self.names());
                return Err(Error::Unreachable { address, waited: ATTEMPT_TIMEOUT, names, source });
            }
        };
        let number: u32 = row.get::<_, &str>(0).parse().unwrap_or(0);
        if number < MIN_SERVER_VERSION {
            return Err(Error::TooOld {
                address: self.address.clone(),
                version: row.get(1),
                oldest: MIN_SERVER_VERSION / 10_000,
            });
        }
        Ok(client)
    }

    /// A pool of up to `size` connections, made when needed. A request has `request_timeout` for a connection and its result. `name` is the
    /// `application_name` of the sessions, or of the writes in shared sessions; it decides whether writes are announced (`change_triggers.rs`).
    ///
    /// # Errors
    /// When the pool's settings are inconsistent.
    pub fn pool(
        &self,
        size: usize,
        request_timeout: Duration,
        name: &str,
        metrics: PoolMetrics,
    ) -> Result<ConnectionPool, Error> {
        let (session_name, statement_name) = match self.pooling() {
            Pooling::Session => (name, None),
            Pooling::Transaction => (SHARED_SESSION_NAME, Some(name.to_owned())),
        };
        let mut config = self.config.clone();
        config.connect_timeout(CONNECT_TIMEOUT).application_name(session_name);
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(config, self.connector.clone(), settings);
        let session = Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(SESSION_SETTINGS).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1);
        let pool = match self.pooling() {
            Pooling::Session => pool.post_create(session),
            Pooling::Transaction => pool,
        };
        Ok(ConnectionPool::new(pool.build()?, self.connector.clone(), statement_name, request_timeout, metrics))
    }
}

/// A client and the task that drives its connection.
type Opened = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

/// Opens connections, by the Unix socket if there is one.
#[derive(Clone)]
struct Connector {
    tls: MakeRustlsConnect,
    /// The path of the server's socket.
    socket: Option<PathBuf>,
    /// The host and the port, for cancellations.
    tcp: Option<(String, u16)>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Connector {
    async fn open(&self, config: &Config) -> Opened {
        self.open_observed(config, |_, _| {}).await
    }

    async fn open_observed(&self, config: &Config, observer: impl FnMut(&str, &str) + Send + 'static) -> Opened {
        if let Some(path) = &self.socket
            && let Ok(Ok(socket)) = timeout(CONNECT_TIMEOUT, UnixSocket::connect(path)).await
        {
            let (client, connection) = config.connect_raw(socket, NoTls).await?;
            return Ok((client, drive(connection, observer)));
        }
        // Also if the socket cannot be connected to, because this attempt describes the reason.
        let (client, connection) = config.connect(self.tls.clone()).await?;
        Ok((client, drive(connection, observer)))
    }

    /// Asks the server to cancel what a connection is doing. It must not be used for another statement afterwards.
    async fn cancel(&self, token: &CancelToken) -> Result<(), tokio_postgres::Error> {
        if let Some(path) = &self.socket
            && let Ok(socket) = UnixSocket::connect(path).await
        {
            return token.cancel_query_raw(socket, NoTls).await;
        }
        if let Some((host, port)) = &self.tcp
            && let Ok(connection) = UntilClosed::connect(host, *port).await
            && let Ok(tls) = MakeTlsConnect::<UntilClosed>::make_tls_connect(&mut self.tls.clone(), host)
        {
            return token.cancel_query_raw(connection, tls).await;
        }
        token.cancel_query(self.tls.clone()).await
    }
}

impl Connect for Connector {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Opened> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move { self.open(&config).await })
    }
}

fn drive<S, T>(
    mut connection: Connection<S, T>,
    mut observer: impl FnMut(&str, &str) + Send + 'static,
) -> JoinHandle<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    observer(notification.channel(), notification.payload());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::debug!(%error, "a database connection ended");
                    return;
                }
                None => return,
            }
        }
    })
}

fn with_common_settings(mut config: Config) -> Config {
    config.application_name(MAINTENANCE_NAME).connect_timeout(ATTEMPT_TIMEOUT);
    config
}
