//! Connections to PostgreSQL, statements shared by requests, and the migrations of the schema.
//!
//! Policy: at the start, an error that may pass (the server is not up yet) is logged and tried again for a limited
//! time; one that cannot (a rejected password, a missing database, a server that is too old) ends the start at once with a
//! message that says what to do. This module does not know who runs the server, and knows nothing of attendance or HTTP.

mod batcher;
mod error;
pub mod migrations;
mod pool;
mod query_error;
mod tls;
mod unix_socket;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::{Connect, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::config::{SslMode as WireSslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{ExternalPostgres, SslMode};

pub use batcher::{BatchError, BatchOperation, Batcher};
pub use error::{AttemptError, Error};
pub use pool::{ConnectionPool, Lease, PoolMetrics};
pub use query_error::{ErrorClass, QueryError};
use unix_socket::UnixSocket;

/// The oldest server that is supported, as `server_version_num`.
const MIN_SERVER_VERSION: u32 = 120_000;
/// One attempt to connect at the start.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time between two attempts, each of which is logged.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// One attempt to connect for a request, whose own deadline may be shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The first statement of a new connection of the pool. The server must end a statement whose caller has given up, which is after
/// 30 s at the latest, because closing a connection does not end its statement.
const SESSION_SETTINGS: &str = "SET statement_timeout = '35s'";

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
        Self::with_parameters(at, &ConnectionParameters::default())
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
            SslMode::VerifyFull => tls::verifying_connector(parameters.root_certificates.as_deref())?,
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
        Ok(Self { config, attempt_timeout, connector: Connector { tls, socket: None }, address })
    }

    /// A server on this machine that listens on a Unix socket. `config` has the socket's directory, the user and the database.
    ///
    /// # Errors
    /// When the TLS library fails to start.
    pub fn on_unix_socket(mut config: Config, socket: PathBuf) -> Result<Self, Error> {
        config.ssl_mode(WireSslMode::Disable);
        let directory = socket.parent().unwrap_or(&socket).display();
        let address = format!("{directory}/{}", config.get_dbname().unwrap_or_default());
        let connector = Connector { tls: tls::connector()?, socket: Some(socket) };
        Ok(Self { config: with_common_settings(config), attempt_timeout: ATTEMPT_TIMEOUT, connector, address })
    }

    /// `host:port/database` or the socket directory.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Opens a connection outside the pool and checks the server's version. If the server is not up yet, tries again for up to
    /// `connect_timeout`, with a log line a second.
    ///
    /// # Errors
    /// When the server cannot be reached in time, rejects the user, or cannot be used.
    pub async fn connect(&self, connect_timeout: Duration) -> Result<Client, Error> {
        let started = Instant::now();
        loop {
            let error = match timeout(self.attempt_timeout, self.open()).await {
                Ok(Ok(client)) => return self.check_version(client).await,
                Ok(Err(error)) => self.as_transient(error)?,
                Err(_) => AttemptError::Timeout(self.attempt_timeout),
            };
            let waited = started.elapsed();
            if waited + RETRY_INTERVAL > connect_timeout {
                return Err(Error::Unreachable { address: self.address.clone(), waited, source: error });
            }
            tracing::warn!(
                address = self.address,
                reason = error.to_string(),
                waited_s = waited.as_secs(),
                patience_s = connect_timeout.as_secs(),
                "waiting for PostgreSQL"
            );
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Opens a connection outside the pool, in one attempt and without a check of the server's version.
    ///
    /// # Errors
    /// When the server cannot be reached or rejects the user.
    pub async fn open(&self) -> Result<Client, tokio_postgres::Error> {
        Ok(self.connector.open(&self.config).await?.0)
    }

    /// The error of an attempt that may be repeated, or the error that will not pass.
    fn as_transient(&self, error: tokio_postgres::Error) -> Result<AttemptError, Error> {
        let address = self.address.clone();
        match error.code().map(SqlState::code) {
            Some("28P01" | "28000") => {
                let user = self.config.get_user().unwrap_or_default().to_owned();
                Err(Error::Refused { address, user, source: error })
            }
            Some("3D000") => Err(Error::NoDatabase { address, source: error }),
            _ => Ok(AttemptError::Connect(error)),
        }
    }

    async fn check_version(&self, client: Client) -> Result<Client, Error> {
        let query = "SELECT current_setting('server_version_num'), current_setting('server_version')";
        let row = match timeout(ATTEMPT_TIMEOUT, client.query_one(query, &[])).await {
            Ok(row) => row.map_err(|error| Error::Statement { what: "ask for its version", source: error })?,
            Err(_) => {
                let source = AttemptError::NoAnswer;
                return Err(Error::Unreachable { address: self.address.clone(), waited: ATTEMPT_TIMEOUT, source });
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

    /// A pool of up to `size` connections, made when needed. A request has `request_timeout` for a connection and its result.
    ///
    /// # Errors
    /// When the pool's settings are inconsistent.
    pub fn pool(&self, size: usize, request_timeout: Duration, metrics: PoolMetrics) -> Result<ConnectionPool, Error> {
        let mut config = self.config.clone();
        config.connect_timeout(CONNECT_TIMEOUT);
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(config, self.connector.clone(), settings);
        let session = Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(SESSION_SETTINGS).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager).max_size(size).post_create(session).runtime(Runtime::Tokio1).build()?;
        Ok(ConnectionPool::new(pool, request_timeout, metrics))
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
}

impl Connector {
    async fn open(&self, config: &Config) -> Opened {
        if let Some(path) = &self.socket
            && let Ok(Ok(socket)) = timeout(CONNECT_TIMEOUT, UnixSocket::connect(path)).await
        {
            let (client, connection) = config.connect_raw(socket, NoTls).await?;
            return Ok((client, drive(connection)));
        }
        // Also if the socket cannot be connected to, because this attempt describes the reason.
        let (client, connection) = config.connect(self.tls.clone()).await?;
        Ok((client, drive(connection)))
    }
}

impl Connect for Connector {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Opened> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move { self.open(&config).await })
    }
}

fn drive<S, T>(connection: Connection<S, T>) -> JoinHandle<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a database connection ended");
        }
    })
}

fn with_common_settings(mut config: Config) -> Config {
    config.application_name("attendance-api").connect_timeout(ATTEMPT_TIMEOUT);
    config
}
