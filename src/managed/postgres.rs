//! The managed PostgreSQL: chosen, initialised, started, watched, stopped.
//!
//! Policy: it listens on a Unix socket in a directory only we can enter and asks for a password even there. Durability is
//! not negotiable: `fsync`, `full_page_writes` and `synchronous_commit` are given on the command line, where no file can
//! override them, and the running server is asked for them, and for data checksums, before it is used. A failed first
//! start is an error with the server's own last words; a server that dies later is restarted.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls};
use tracing::{debug, info};

use super::cluster::{self, Cluster, SUPERUSER};
use super::command::ChildCommand;
use super::distribution::{self, Installation, Source};
use super::output::LogSyntax;
use super::process::{Failure, Policy, Program, Supervised};
use super::status::ChildStatus;
use super::{run_dir, stale_processes};
use crate::config::Secret;

/// Part of the socket's name only: nothing listens on TCP.
const PORT: u16 = 5432;
/// The name of the socket in its directory.
const SOCKET: &str = ".s.PGSQL.5432";
/// Time between two looks at a server that is starting.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// One query on a server that says it is ready may take this long.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// SIGQUIT ends a server without its usual care; it needs no longer.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);

/// Settings that must be on, and what to do about one that is not.
const MUST_BE_ON: [&str; 4] = ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"];

/// Why there is no managed PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none to run.
    #[error(transparent)]
    Distribution(#[from] distribution::Error),
    /// There is no usable cluster.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// There is no place for its socket.
    #[error(transparent)]
    RunDir(#[from] run_dir::Error),
    /// The system has no thread left for it.
    #[error("cannot look after PostgreSQL: {0}; raise the limit of processes and threads of this user")]
    Supervise(#[source] io::Error),
    /// It did not start.
    #[error("PostgreSQL ({installation}) did not start on {path}: {failure}", path = .path.display())]
    Start {
        /// Which PostgreSQL.
        installation: Box<Installation>,
        /// Which cluster.
        path: PathBuf,
        /// What happened.
        failure: Failure,
    },
    /// It started and does not work.
    #[error("PostgreSQL started, but {what} failed: {source}")]
    Query {
        /// What was attempted.
        what: &'static str,
        /// What it said.
        source: tokio_postgres::Error,
    },
    /// It started and does not answer.
    #[error("PostgreSQL started, but {what} took longer than {QUERY_TIMEOUT:?}; is the disk overloaded?")]
    Slow {
        /// What was attempted.
        what: &'static str,
    },
    /// It would lose acknowledged records.
    #[error("PostgreSQL runs with {setting} = '{value}', which can lose records; {remedy}")]
    NotDurable {
        /// The setting.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What to do.
        remedy: String,
    },
}

/// What a managed PostgreSQL is told.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The appliance's data directory, locked. Absolute.
    pub data_dir: PathBuf,
    /// Use these programs instead of the embedded ones.
    pub bin_dir: Option<PathBuf>,
    /// The database to create and use.
    pub database: String,
    /// Connections it accepts, including some for maintenance.
    pub max_connections: usize,
    /// Bytes it keeps pages of its tables in.
    pub shared_buffers: usize,
    /// initdb may take this long.
    pub init_timeout: Duration,
    /// The start, crash recovery included, may take this long.
    pub start_timeout: Duration,
    /// The stop may take this long before it is forced.
    pub stop_timeout: Duration,
}

/// How to reach a managed PostgreSQL; the same for all of its lives.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The directory of its socket.
    pub socket_dir: PathBuf,
    /// Part of the socket's name.
    pub port: u16,
    /// The role to use.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// The database to use.
    pub database: String,
}

impl Endpoint {
    /// The file of its socket.
    pub fn socket(&self) -> PathBuf {
        self.socket_dir.join(SOCKET)
    }

    /// The server that another process of ours runs on this data directory, if one does.
    pub fn of_running(data_dir: &Path, database: &str) -> Option<Self> {
        let (socket_dir, password) = cluster::running(data_dir)?;
        Some(Self { socket_dir, port: PORT, user: SUPERUSER.to_owned(), password, database: database.to_owned() })
    }

    /// The same as the client library wants it.
    pub fn client_config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket_dir).port(self.port).user(&self.user).password(self.password.expose());
        config.dbname(&self.database).application_name("attendance-api").connect_timeout(QUERY_TIMEOUT);
        config
    }
}

/// A PostgreSQL that runs and is looked after. Stop it with [`ManagedPostgres::stop`].
#[derive(Debug)]
pub struct ManagedPostgres {
    endpoint: Endpoint,
    installation: Installation,
    supervised: Supervised,
}

impl ManagedPostgres {
    /// Chooses a PostgreSQL, makes the cluster if there is none, starts it, and checks that it is durable.
    ///
    /// # Errors
    /// One variant for each thing that can be wrong; the server is stopped by then.
    pub async fn start(options: PostgresOptions) -> Result<Self, Error> {
        let dist = options.data_dir.join("dist");
        let installation = Source::find(options.bin_dir.as_deref())?.choose(&dist).await?;
        info!("using {installation}");
        let cluster = Cluster::open(&options.data_dir, &installation, options.init_timeout).await?;
        let endpoint = Endpoint {
            socket_dir: run_dir::find(&options.data_dir, SOCKET)?,
            port: PORT,
            user: SUPERUSER.to_owned(),
            password: cluster.password.clone(),
            database: options.database.clone(),
        };
        let server = Server::new(&options, &installation, &cluster, &endpoint);
        let (supervised, first_start) = Supervised::start(server, policy(&options)).map_err(Error::Supervise)?;
        let failed = |failure| Error::Start {
            installation: Box::new(installation.clone()),
            path: cluster.path.clone(),
            failure,
        };
        first_start.await.unwrap_or(Err(Failure::Stopped)).map_err(failed)?;
        if let Err(error) = prepare_database(&endpoint, &cluster.path).await {
            supervised.stop().await;
            return Err(error);
        }
        Ok(Self { endpoint, installation, supervised })
    }

    /// How to reach it.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Which PostgreSQL it is.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// What it is doing, now and from now on.
    pub fn status(&self) -> watch::Receiver<ChildStatus> {
        self.supervised.status()
    }

    /// Shuts it down: at once for its clients, cleanly for its data. Bounded.
    pub async fn stop(self) {
        self.supervised.stop().await;
    }
}

fn policy(options: &PostgresOptions) -> Policy {
    Policy {
        start_timeout: options.start_timeout,
        first_start_must_succeed: true,
        // Not SIGTERM, which waits for clients to leave.
        stop: vec![(Signal::SIGINT, options.stop_timeout), (Signal::SIGQUIT, QUIT_PATIENCE)],
        ..Policy::new("postgres", LogSyntax::Postgres)
    }
}

/// The server as the supervision sees it.
struct Server {
    command: ChildCommand,
    cluster: PathBuf,
    socket: PathBuf,
    client: tokio_postgres::Config,
}

impl Server {
    fn new(options: &PostgresOptions, installation: &Installation, cluster: &Cluster, endpoint: &Endpoint) -> Self {
        let mut client = endpoint.client_config();
        // The database of the endpoint may not exist yet.
        client.dbname(SUPERUSER);
        Self {
            command: command(options, installation, &cluster.path, &endpoint.socket_dir),
            cluster: cluster.path.clone(),
            socket: endpoint.socket(),
            client,
        }
    }
}

impl Program for Server {
    fn command(&self) -> ChildCommand {
        self.command.clone()
    }

    async fn prepare(&self) -> Result<(), String> {
        let lock = self.socket.with_file_name(format!("{SOCKET}.lock"));
        stale_processes::clear(&self.cluster, [self.socket.clone(), lock]).await
    }

    async fn ready(&self, pid: u32) {
        // The server says in its pid file when it accepts connections; asking earlier would fill its log with errors.
        while !says_ready(&self.cluster, pid) {
            sleep(LOOK_AGAIN).await;
        }
        while let Err(error) = select_one(&self.client).await {
            debug!("PostgreSQL does not answer yet: {error}");
            sleep(LOOK_AGAIN).await;
        }
    }

    fn is_transient(&self, last_lines: &str) -> bool {
        // What a killed server's backends hold is free again in a moment.
        last_lines.contains("pre-existing shared memory block") || last_lines.contains("could not lock file")
    }
}

/// The server's command line.
fn command(options: &PostgresOptions, installation: &Installation, cluster: &Path, socket_dir: &Path) -> ChildCommand {
    let mut sockets = std::ffi::OsString::from("unix_socket_directories=");
    // A list for PostgreSQL: quotes keep a comma or a blank in the path from splitting it.
    sockets.push("\"");
    sockets.push(socket_dir);
    sockets.push("\"");
    let port = format!("port={PORT}");
    let connections = format!("max_connections={}", options.max_connections);
    let buffers = format!("shared_buffers={}kB", options.shared_buffers / 1024);
    let settings = [
        "listen_addresses=",
        "unix_socket_permissions=0700",
        port.as_str(),
        connections.as_str(),
        buffers.as_str(),
        "fsync=on",
        "full_page_writes=on",
        "synchronous_commit=on",
        "jit=off",
        // A statement whose client has gone is ended, not finished for nobody.
        "client_connection_check_interval=1s",
        "ssl=off",
        "timezone=UTC",
        "log_timezone=UTC",
        // Standard error becomes our log; a statement may hold personal data, which does not belong there.
        "log_destination=stderr",
        "logging_collector=off",
        "log_line_prefix=",
        "log_min_error_statement=panic",
        // Details quote the row that was refused.
        "log_error_verbosity=terse",
    ];
    let mut command = ChildCommand::new(installation.program("postgres"), Signal::SIGINT).arg("-D").arg(cluster);
    for setting in settings {
        command = command.args(["-c", setting]);
    }
    command.arg("-c").arg(sockets)
}

/// Whether the server `pid` has written that it accepts connections (line 8 of its pid file).
fn says_ready(cluster: &Path, pid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(cluster.join("postmaster.pid")) else { return false };
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(pid.to_string().as_str()) && lines.nth(6) == Some("ready")
}

/// Connects, and closes the connection when the client is dropped.
async fn connect(config: &tokio_postgres::Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!("a connection of the supervision ended: {error}");
        }
    });
    Ok(client)
}

async fn select_one(config: &tokio_postgres::Config) -> Result<(), tokio_postgres::Error> {
    connect(config).await?.simple_query("SELECT 1").await.map(|_| ())
}

/// Creates the database if it is missing and checks the settings that durability rests on.
async fn prepare_database(endpoint: &Endpoint, cluster: &Path) -> Result<(), Error> {
    let mut config = endpoint.client_config();
    config.dbname(SUPERUSER);
    let client = bounded("connecting", connect(&config)).await?;
    let wanted: [&(dyn ToSql + Sync); 1] = [&endpoint.database];
    let found = client.query("SELECT 1 FROM pg_database WHERE datname = $1", &wanted);
    if bounded("looking for the database", found).await?.is_empty() {
        let name = endpoint.database.replace('"', "\"\"");
        let create = format!("CREATE DATABASE \"{name}\" ENCODING 'UTF8' TEMPLATE template0");
        bounded("creating the database", client.batch_execute(&create)).await?;
    }
    for setting in MUST_BE_ON {
        let show = format!("SELECT current_setting('{setting}')");
        let value: String = bounded("asking for its settings", client.query_one(&show, &[])).await?.get(0);
        if value != "on" {
            return Err(not_durable(setting, value, cluster));
        }
    }
    Ok(())
}

fn not_durable(setting: &'static str, value: String, cluster: &Path) -> Error {
    let remedy = if setting == "data_checksums" {
        format!("stop the appliance and run: pg_checksums --enable -D {}", cluster.display())
    } else {
        "remove it from the settings of the role or the database (ALTER ROLE ... RESET, ALTER DATABASE ... RESET)"
            .into()
    };
    Error::NotDurable { setting, value, remedy }
}

async fn bounded<T>(
    what: &'static str,
    query: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(QUERY_TIMEOUT, query).await {
        Ok(result) => result.map_err(|source| Error::Query { what, source }),
        Err(_) => Err(Error::Slow { what }),
    }
}
