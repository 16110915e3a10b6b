//! The managed PostgreSQL: selects, initialises, starts, supervises and stops it.
//!
//! Policy: it listens only on a Unix socket in a private directory, and requires a password even there. Durability cannot be
//! configured away: `fsync`, `full_page_writes` and `synchronous_commit` are set on the command line, which overrides the
//! configuration files, and the running server must confirm them, and data checksums, before it is used. Requests, migrations and the
//! supervision each have a role (`roles`). A failed first start is an error that includes the last lines of the server; a server that
//! dies later is restarted.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_postgres::error::SqlState;
use tracing::{debug, info};

use super::cluster::{self, Cluster};
use super::command::ChildCommand;
use super::distribution::{self, Source};
use super::installation::{Installation, SUPERUSER};
use super::output::LogSyntax;
use super::process::{self, BoxError, Policy, Program, Supervised};
use super::roles::{self, DURABILITY_SETTINGS, Roles};
use super::status::ChildStatus;
use super::{run_dir, stale_processes};
use crate::config::Secret;
use crate::database::{self, Database};

/// The port is only a part of the socket's name, because the server does not listen on TCP.
const PORT: u16 = 5432;
/// The file name of the socket.
const SOCKET_NAME: &str = ".s.PGSQL.5432";
/// Time between two checks whether a starting server is ready.
const READY_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The time-out of one query to a server that has reported that it is ready.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// The time-out of an immediate shutdown (SIGQUIT), which writes no checkpoint.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no managed PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no PostgreSQL to run.
    #[error(transparent)]
    Distribution(#[from] distribution::Error),
    /// There is no usable cluster.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// There is no directory for its socket.
    #[error(transparent)]
    RunDir(#[from] run_dir::Error),
    /// The operating system has no thread for the supervision.
    #[error("cannot look after PostgreSQL: {0}; raise the limit of processes and threads of this user")]
    Supervise(#[source] io::Error),
    /// Its first start failed.
    #[error("PostgreSQL ({installation}) did not start on {path}: {source}", path = .path.display())]
    Start {
        /// The PostgreSQL.
        installation: Box<Installation>,
        /// The cluster.
        path: PathBuf,
        /// Why it is not running.
        source: process::Error,
    },
    /// Connections to it cannot be made.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// It started, and a query failed.
    #[error("PostgreSQL started, but {what} failed: {source}")]
    Query {
        /// The purpose of the query.
        what: &'static str,
        /// The error of the query.
        source: tokio_postgres::Error,
    },
    /// It started, and a query timed out.
    #[error("PostgreSQL started, but {what} took longer than {QUERY_TIMEOUT:?}; is the disk overloaded?")]
    QueryTimeout {
        /// The purpose of the query.
        what: &'static str,
    },
    /// The passwords of its roles cannot be recorded.
    #[error("PostgreSQL started, but the passwords of its roles cannot be written to {path}: {source}", path = .path.display())]
    Roles {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It could lose acknowledged records.
    #[error("PostgreSQL runs with {setting} = '{value}', which can lose records; {remedy}")]
    NotDurable {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What to do.
        remedy: String,
    },
}

/// The options of a managed PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The appliance's data directory, locked. Absolute.
    pub data_dir: PathBuf,
    /// The directory of the programs to use instead of the embedded ones.
    pub bin_dir: Option<PathBuf>,
    /// The database to create and use.
    pub database: String,
    /// Connections it accepts, including some for maintenance.
    pub max_connections: usize,
    /// The size of its page cache in bytes.
    pub shared_buffers: usize,
    /// The time-out of initdb.
    pub init_timeout: Duration,
    /// The time-out of the start, which includes crash recovery.
    pub start_timeout: Duration,
    /// How long a stop may take before it is forced.
    pub stop_timeout: Duration,
}

/// The connection parameters of a managed PostgreSQL, which restarts do not change.
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
    /// The path of its socket.
    fn socket(&self) -> PathBuf {
        self.socket_dir.join(SOCKET_NAME)
    }

    /// The configured database.
    ///
    /// # Errors
    /// When the TLS library fails to start.
    pub fn database(&self) -> Result<Database, database::Error> {
        self.database_named(&self.database)
    }

    /// The database that every cluster has. The configured one may not exist yet.
    fn maintenance_database(&self) -> Result<Database, database::Error> {
        self.database_named(SUPERUSER)
    }

    fn database_named(&self, name: &str) -> Result<Database, database::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket_dir).port(self.port).user(&self.user).password(self.password.expose());
        config.dbname(name);
        Database::on_unix_socket(config, self.socket())
    }
}

/// The connection parameters of each role.
#[derive(Debug, Clone)]
pub struct Endpoints {
    superuser: Endpoint,
    /// For the migrations: the role that owns the database.
    pub owner: Endpoint,
    /// For the requests: the role that has only the privileges of their statements.
    pub requests: Endpoint,
}

impl Endpoints {
    fn new(superuser: &Endpoint, passwords: roles::Passwords) -> Self {
        let role = |user: &str, password| Endpoint { user: user.to_owned(), password, ..superuser.clone() };
        Self {
            superuser: superuser.clone(),
            owner: role(roles::OWNER, passwords.owner),
            requests: role(roles::REQUESTS, passwords.requests),
        }
    }

    /// The server that another process of ours runs on this data directory, if one does.
    pub fn of_running(data_dir: &Path, database: &str) -> Option<Self> {
        let cluster::Running { socket_dir, password, root } = cluster::running(data_dir)?;
        let user = SUPERUSER.to_owned();
        let superuser = Endpoint { socket_dir, port: PORT, user, password, database: database.to_owned() };
        Some(match roles::recorded_passwords(&root) {
            Some(passwords) => Self::new(&superuser, passwords),
            // An appliance of version 0.1.0 runs it, which uses the superuser for everything.
            None => Self { owner: superuser.clone(), requests: superuser.clone(), superuser },
        })
    }

    /// Grants the requests their privileges on the tables that there are now. Needed after each migration.
    ///
    /// # Errors
    /// When the server does not answer or rejects the statement.
    pub async fn grant_requests(&self) -> Result<(), Error> {
        if self.requests.user == SUPERUSER {
            return Ok(());
        }
        let client = with_timeout("connecting", self.superuser.database()?.open()).await?;
        with_timeout("granting requests their privileges", roles::grant(&client)).await
    }
}

/// A supervised PostgreSQL that runs. Stop it with [`ManagedPostgres::stop`].
#[derive(Debug)]
pub struct ManagedPostgres {
    endpoints: Endpoints,
    /// Whether the requests had their privileges at the start.
    is_granted: bool,
    installation: Installation,
    supervised: Supervised,
}

impl ManagedPostgres {
    /// Selects a PostgreSQL, makes the cluster if there is none, starts the server, and checks that it is durable.
    ///
    /// # Errors
    /// One variant for each step; the server has been stopped by then.
    pub async fn start(options: PostgresOptions) -> Result<Self, Error> {
        let dist = options.data_dir.join("dist");
        let installation = Source::find(options.bin_dir.as_deref())?.install(&dist).await?;
        info!("using {installation}");
        let cluster = Cluster::open(&options.data_dir, &installation, options.init_timeout).await?;
        let endpoint = Endpoint {
            socket_dir: run_dir::find(&options.data_dir, SOCKET_NAME)?,
            port: PORT,
            user: SUPERUSER.to_owned(),
            password: cluster.password.clone(),
            database: options.database.clone(),
        };
        let database = endpoint.maintenance_database()?;
        let server = Server::new(&options, &installation, &cluster, &endpoint, database.clone());
        let (supervised, first_start) = Supervised::start(server, policy(&options)).map_err(Error::Supervise)?;
        let failed =
            |source| Error::Start { installation: Box::new(installation.clone()), path: cluster.path.clone(), source };
        first_start.await.unwrap_or(Err(process::Error::Stopped)).map_err(failed)?;
        let Roles { passwords, is_granted } = match prepare_database(&endpoint, &database, &cluster).await {
            Ok(roles) => roles,
            Err(error) => {
                supervised.stop().await;
                return Err(error);
            }
        };
        Ok(Self { endpoints: Endpoints::new(&endpoint, passwords), is_granted, installation, supervised })
    }

    /// Its connection parameters.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Grants the requests their privileges, unless they had them at the start and nothing was migrated (`applied` changes) since.
    ///
    /// # Errors
    /// When the server does not answer or rejects the statement.
    pub async fn grant_requests(&self, applied: usize) -> Result<(), Error> {
        if self.is_granted && applied == 0 { Ok(()) } else { self.endpoints.grant_requests().await }
    }

    /// The installation that it runs.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Its status, now and whenever it changes.
    pub fn status(&self) -> watch::Receiver<ChildStatus> {
        self.supervised.status()
    }

    /// Shuts it down: disconnects its clients and writes its data to disk. Waits for a limited time.
    pub async fn stop(self) {
        self.supervised.stop().await;
    }
}

fn policy(options: &PostgresOptions) -> Policy {
    Policy {
        start_timeout: options.start_timeout,
        first_start_must_succeed: true,
        // Not SIGTERM, with which the server waits until its clients disconnect.
        stop_signals: vec![(Signal::SIGINT, options.stop_timeout), (Signal::SIGQUIT, QUIT_TIMEOUT)],
        ..Policy::new("postgres", LogSyntax::Postgres)
    }
}

/// The server in the view of the supervision.
struct Server {
    command: ChildCommand,
    cluster: PathBuf,
    socket: PathBuf,
    database: Database,
}

impl Server {
    fn new(
        options: &PostgresOptions,
        installation: &Installation,
        cluster: &Cluster,
        endpoint: &Endpoint,
        database: Database,
    ) -> Self {
        Self {
            command: command(options, installation, &cluster.path, &endpoint.socket_dir),
            cluster: cluster.path.clone(),
            socket: endpoint.socket(),
            database,
        }
    }
}

impl Program for Server {
    fn command(&self) -> ChildCommand {
        self.command.clone()
    }

    async fn prepare(&self) -> Result<(), BoxError> {
        let lock = self.socket.with_file_name(format!("{SOCKET_NAME}.lock"));
        Ok(stale_processes::clear(&self.cluster, [self.socket.clone(), lock]).await?)
    }

    async fn ready(&self, pid: u32) {
        // The server writes into its pid file when it accepts connections; earlier attempts would fill its log with errors.
        while !accepts_connections(&self.cluster, pid) {
            sleep(READY_POLL_INTERVAL).await;
        }
        while let Err(error) = select_one(&self.database).await {
            debug!("PostgreSQL does not answer yet: {error}");
            sleep(READY_POLL_INTERVAL).await;
        }
    }

    fn is_transient(&self, last_lines: &str) -> bool {
        // The backends of a killed server release these soon.
        last_lines.contains("pre-existing shared memory block") || last_lines.contains("could not lock file")
    }
}

/// The server's command line.
fn command(options: &PostgresOptions, installation: &Installation, cluster: &Path, socket_dir: &Path) -> ChildCommand {
    let mut sockets = std::ffi::OsString::from("unix_socket_directories=");
    // The value is a list, in which quotes protect a comma or a blank of the path.
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
        // Cancels a statement whose client has disconnected.
        "client_connection_check_interval=1s",
        "ssl=off",
        "timezone=UTC",
        "log_timezone=UTC",
        // Standard error goes to the log of the appliance, which must not contain statements: they may have personal data.
        "log_destination=stderr",
        "logging_collector=off",
        "log_line_prefix=",
        "log_min_error_statement=panic",
        // Details would quote the rejected row.
        "log_error_verbosity=terse",
    ];
    let mut command = ChildCommand::new(installation.program("postgres"), Signal::SIGINT).arg("-D").arg(cluster);
    for setting in settings {
        command = command.args(["-c", setting]);
    }
    command.arg("-c").arg(sockets)
}

/// Whether the server `pid` has written into its pid file (line 8) that it accepts connections.
fn accepts_connections(cluster: &Path, pid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(cluster.join("postmaster.pid")) else { return false };
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(pid.to_string().as_str()) && lines.nth(6) == Some("ready")
}

async fn select_one(database: &Database) -> Result<(), tokio_postgres::Error> {
    database.open().await?.simple_query("SELECT 1").await.map(|_| ())
}

/// Creates the database if it is missing, checks the settings on which durability depends, and establishes the roles.
async fn prepare_database(endpoint: &Endpoint, maintenance: &Database, cluster: &Cluster) -> Result<Roles, Error> {
    if cluster.is_new {
        create_database(maintenance, &endpoint.database).await?;
    }
    let database = endpoint.database()?;
    let client = match with_timeout("connecting", database.open()).await {
        // An earlier start ended before it had created the database.
        Err(Error::Query { source, .. }) if source.code() == Some(&SqlState::INVALID_CATALOG_NAME) => {
            create_database(maintenance, &endpoint.database).await?;
            with_timeout("connecting", database.open()).await?
        }
        connected => connected?,
    };
    let state = with_timeout("asking for its settings and roles", roles::state(&client)).await?;
    for (setting, value) in DURABILITY_SETTINGS.into_iter().zip(&state.settings) {
        if value != "on" {
            return Err(not_durable(setting, value.clone(), &cluster.path));
        }
    }
    let established = roles::establish(&client, &endpoint.database, &cluster.root, &state);
    match tokio::time::timeout(QUERY_TIMEOUT, established).await {
        Ok(Ok(roles)) => Ok(roles),
        Ok(Err(roles::Error::Query(source))) => Err(Error::Query { what: "setting up its roles", source }),
        Ok(Err(roles::Error::File { path, source })) => Err(Error::Roles { path, source }),
        Err(_) => Err(Error::QueryTimeout { what: "setting up its roles" }),
    }
}

async fn create_database(maintenance: &Database, name: &str) -> Result<(), Error> {
    let client = with_timeout("connecting", maintenance.open()).await?;
    let name = name.replace('"', "\"\"");
    let create = format!("CREATE DATABASE \"{name}\" ENCODING 'UTF8' TEMPLATE template0");
    with_timeout("creating the database", client.batch_execute(&create)).await
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

/// Runs a query with a time-out.
async fn with_timeout<T>(
    what: &'static str,
    query: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(QUERY_TIMEOUT, query).await {
        Ok(result) => result.map_err(|source| Error::Query { what, source }),
        Err(_) => Err(Error::QueryTimeout { what }),
    }
}
