//! Reaching PostgreSQL, managed or external, and bringing its schema up to date.
//!
//! Policy: what can become better by waiting (a server that is not up yet) is waited for, aloud and within a
//! bound; what cannot (a refused password, a missing database, a server too old) ends the start at once with
//! what to do. Knows nothing of attendance or HTTP.

mod error;
pub mod migrations;
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
use tokio_postgres::config::SslMode as WireSslMode;
use tokio_postgres::{Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{ExternalPostgres, SslMode};
use crate::managed::postgres::Endpoint;

pub use error::Error;
use unix_socket::UnixSocket;

/// The oldest server that is supported, as `server_version_num`.
const OLDEST: u32 = 120_000;
/// One attempt to connect while starting.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Between two attempts, and between two lines that say so.
const PAUSE: Duration = Duration::from_secs(1);
/// One attempt to connect while serving: the request's own deadline is shorter or cuts it.
const CONNECT: Duration = Duration::from_millis(1_500);
/// What a new connection of the pool says. The server ends a statement that nobody can be waiting for any more: ours give
/// up after 30 s at the latest, and closing a connection alone does not end what it was doing.
const SESSION: &str = "SET statement_timeout = '35s'";

/// A database and how to reach it.
#[derive(Clone)]
pub struct Database {
    config: Config,
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
    /// A server that somebody else runs.
    pub fn external(at: &ExternalPostgres) -> Result<Self, Error> {
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
        let tls = tls::connector(at.sslmode == SslMode::VerifyFull)?;
        let address = format!("{}:{}/{}", at.host, at.port, at.database);
        Ok(Self { config: common(config), connector: Connector { tls, socket: None }, address })
    }

    /// The managed server, on its Unix socket.
    pub fn managed(at: &Endpoint) -> Result<Self, Error> {
        let mut config = at.client_config();
        config.ssl_mode(WireSslMode::Disable);
        let address = format!("{}/{}", at.socket_dir.display(), at.database);
        let connector = Connector { tls: tls::connector(false)?, socket: Some(at.socket()) };
        Ok(Self { config: common(config), connector, address })
    }

    /// `host:port/database` or the socket directory.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection of its own, checked to be to a server that is new enough. Waits up to `patience` for one that is
    /// not up yet, with a log line a second.
    pub async fn connect(&self, patience: Duration) -> Result<Client, Error> {
        let started = Instant::now();
        loop {
            let error = match timeout(ATTEMPT, self.attempt()).await {
                Ok(Ok(client)) => return self.check_version(client).await,
                Ok(Err(error)) => self.refusal(error)?,
                Err(_) => format!("no answer within {} s", ATTEMPT.as_secs()),
            };
            let waited = started.elapsed();
            if waited + PAUSE > patience {
                return Err(Error::Unreachable { address: self.address.clone(), waited, reason: error });
            }
            tracing::warn!(
                address = self.address,
                reason = error,
                waited_s = waited.as_secs(),
                patience_s = patience.as_secs(),
                "waiting for PostgreSQL"
            );
            sleep(PAUSE).await;
        }
    }

    async fn attempt(&self) -> Result<Client, tokio_postgres::Error> {
        Ok(self.connector.open(&self.config).await?.0)
    }

    /// Why the server cannot be reached yet; or the error that no waiting mends.
    fn refusal(&self, error: tokio_postgres::Error) -> Result<String, Error> {
        let reason = error::with_causes(&error);
        let address = self.address.clone();
        let Some(state) = error.code() else { return Ok(reason) };
        let user = self.config.get_user().unwrap_or_default().to_owned();
        match state.code() {
            "28P01" | "28000" => Err(Error::Refused { address, user, reason }),
            "3D000" => Err(Error::NoDatabase { address, reason }),
            _ => Ok(reason),
        }
    }

    async fn check_version(&self, client: Client) -> Result<Client, Error> {
        let question = "SELECT current_setting('server_version_num'), current_setting('server_version')";
        let row = match timeout(ATTEMPT, client.query_one(question, &[])).await {
            Ok(row) => row.map_err(|error| Error::Statement { what: "ask for its version", source: error })?,
            Err(_) => {
                let reason = "it accepted the connection but does not answer".to_owned();
                return Err(Error::Unreachable { address: self.address.clone(), waited: ATTEMPT, reason });
            }
        };
        let number: u32 = row.get::<_, &str>(0).parse().unwrap_or(0);
        if number < OLDEST {
            return Err(Error::TooOld { address: self.address.clone(), version: row.get(1), oldest: OLDEST / 10_000 });
        }
        Ok(client)
    }

    /// A pool of up to `size` connections, made when needed.
    pub fn pool(&self, size: usize) -> Result<Pool, Error> {
        let mut config = self.config.clone();
        config.connect_timeout(CONNECT);
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(config, self.connector.clone(), settings);
        let session = Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
        });
        Pool::builder(manager)
            .max_size(size)
            .post_create(session)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Pool(error.to_string()))
    }
}

/// A connection and the task that moves its bytes.
type Opened = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

/// Makes connections.
#[derive(Clone)]
struct Connector {
    tls: MakeRustlsConnect,
    /// Where the managed server listens.
    socket: Option<PathBuf>,
}

impl Connector {
    async fn open(&self, config: &Config) -> Opened {
        if let Some(path) = &self.socket
            && let Ok(Ok(socket)) = timeout(CONNECT, UnixSocket::connect(path)).await
        {
            let (client, connection) = config.connect_raw(socket, NoTls).await?;
            return Ok((client, drive(connection)));
        }
        // Also where the socket cannot be connected to: it says so in its own words.
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

fn common(mut config: Config) -> Config {
    config.application_name("attendance-api").connect_timeout(ATTEMPT);
    config
}
