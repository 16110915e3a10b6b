//! The managed PostgreSQL: selects, initialises, starts, supervises and stops it.
//!
//! Policy: it listens only on a Unix socket in a private directory, and requires a password even there. Durability cannot be
//! configured away: `fsync`, `full_page_writes` and `synchronous_commit` are set on the command line, which overrides the
//! configuration files, and the running server must confirm them, and data checksums, before it is used. Requests, migrations and the
//! supervision each have a role (`roles`). A failed first start is an error that includes the last lines of the server; a server that
//! dies later is restarted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;
use tracing::info;

use super::cluster::Cluster;
use super::config_files::{AccessFiles, AdministratorFiles};
use super::data_disk::DataDisk;
use super::distribution::{self, Source};
use super::endpoint::{Endpoint, SOCKET_NAME};
use super::initdb::Durability;
use super::installation::Installation;
use super::output::LogSyntax;
use super::postgres_error::{QUERY_TIMEOUT, with_timeout};
use super::postgres_server::{Server, Sizes};
use super::process::{self, Policy, Supervised};
use super::role_guard::RoleGuard;
use super::roles::{self, DURABILITY_SETTINGS, Roles};
use super::status::ChildStatus;
use super::{app_database, run_dir, superuser};

pub use super::endpoint::Endpoints;
pub use super::postgres_error::Error;

/// The time-out of an immediate shutdown (SIGQUIT), which writes no checkpoint.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// How much WAL is kept for a copy of it that does not proceed, in bytes, if the appliance copies it. Otherwise the limit for the slots of other
    /// programs is PostgreSQL's own.
    pub max_kept_wal: Option<u64>,
    /// The time-out of initdb.
    pub init_timeout: Duration,
    /// The time-out of the start, which includes crash recovery.
    pub start_timeout: Duration,
    /// How long a stop may take before it is forced.
    pub stop_timeout: Duration,
}

impl Endpoints {
    /// Grants the requests their privileges on the tables that there are now. Needed after each migration.
    ///
    /// # Errors
    /// When the server does not answer or rejects the statement.
    pub async fn grant_requests(&self) -> Result<(), Error> {
        if self.requests.user == self.superuser.user {
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
    disk: DataDisk,
    _role_guard: RoleGuard,
    supervised: Supervised,
}

impl ManagedPostgres {
    /// Selects a PostgreSQL, makes the cluster if there is none, starts the server, and checks that it is durable. What keeps the appliance
    /// out of its own cluster is repaired.
    ///
    /// # Errors
    /// One variant for each step; the server has been stopped by then.
    pub async fn start(options: PostgresOptions) -> Result<Self, Error> {
        let dist = options.data_dir.join("dist");
        let source = Source::find(options.bin_dir.as_deref())?;
        if matches!(source, Source::Embedded(_)) {
            distribution::remove_unused(&dist);
        }
        let installation = source.install(&dist).await?;
        info!("using {installation}");
        let cluster =
            Cluster::open(&options.data_dir, &installation, Durability::Immediate, options.init_timeout).await?;
        let access = AccessFiles::write(&cluster.root)?;
        let socket_dir = run_dir::find(&options.data_dir, SOCKET_NAME)?;
        let endpoint = Endpoint::superuser(socket_dir, cluster.password.clone(), &options.database);
        let sizes = Sizes { max_connections: options.max_connections, shared_buffers: options.shared_buffers };
        let [maintenance, _] = endpoint.maintenance_databases()?;
        let kept_wal = options.max_kept_wal.map(|bytes| format!("max_slot_wal_keep_size={}MB", bytes >> 20));
        let settings: Vec<&str> = kept_wal.iter().map(String::as_str).collect();
        let server =
            Server::new(sizes, &installation, &cluster, &access, &endpoint, maintenance).with_settings(&settings);
        let start = Start { options: &options, installation: &installation, cluster: &cluster, server };

        let mut supervised = start.run().await?;
        let mut prepared = prepare_database(&endpoint, &cluster).await;
        if let Err(Error::Query { source, .. }) = &prepared
            && superuser::is_refused(source)
        {
            supervised.stop().await;
            let settings = start.server.settings();
            let program = installation.program("postgres");
            let path = cluster.path.clone();
            superuser::restore(program, path, settings, &endpoint.database, &endpoint.password, options.start_timeout)
                .await?;
            supervised = start.run().await?;
            prepared = prepare_database(&endpoint, &cluster).await.map_err(|error| match error {
                Error::Query { source, .. } if superuser::is_refused(&source) => {
                    Error::SuperuserRefused { path: cluster.path.clone(), source }
                }
                other => other,
            });
        }
        match prepared {
            Ok(Roles { passwords, is_granted }) => {
                let endpoints = Endpoints::new(&endpoint, passwords);
                let disk = DataDisk::new(&cluster.path);
                let role_guard = RoleGuard::start(endpoints.clone(), cluster.root.clone());
                Ok(Self { endpoints, is_granted, installation, disk, _role_guard: role_guard, supervised })
            }
            Err(error) => {
                supervised.stop().await;
                Err(error)
            }
        }
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

    /// The file systems of its cluster.
    pub fn data_disk(&self) -> DataDisk {
        self.disk.clone()
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

/// What a start of the server needs.
struct Start<'a> {
    options: &'a PostgresOptions,
    installation: &'a Installation,
    cluster: &'a Cluster,
    server: Server,
}

impl Start<'_> {
    /// Starts the server; without those files of the administrator with which it does not start.
    async fn run(&self) -> Result<Supervised, Error> {
        let first = match self.attempt().await? {
            Ok(supervised) => return Ok(supervised),
            Err(error) => error,
        };
        if rejects_configuration(&first) {
            let mut files = AdministratorFiles::new(&self.cluster.path);
            // An error of a file is not reported: the first error is the one that matters.
            while files.try_next().unwrap_or(false) {
                if let Ok(supervised) = self.attempt().await? {
                    files.keep_aside(&first.to_string());
                    return Ok(supervised);
                }
            }
        }
        let installation = Box::new(self.installation.clone());
        Err(Error::Start { installation, path: self.cluster.path.clone(), source: first })
    }

    async fn attempt(&self) -> Result<Result<Supervised, process::Error>, Error> {
        let (supervised, first_start) =
            Supervised::start(self.server.clone(), policy(self.options)).map_err(Error::Supervise)?;
        let started = first_start.await.unwrap_or(Err(process::Error::Stopped));
        Ok(started.map(|()| supervised))
    }
}

/// Whether the configuration may be why the server ended: it did so before it opened its data, about which its first line begins with the first
/// of these words, and not for lack of a writable disk.
fn rejects_configuration(error: &process::Error) -> bool {
    let others = ["database system was ", "No space left on device", "Disk quota exceeded", "Read-only file system"];
    matches!(error, process::Error::Exited { last_lines, .. } if !others.iter().any(|words| last_lines.contains(words)))
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

/// Makes or finds the database, checks the settings on which durability depends, and establishes the roles.
async fn prepare_database(endpoint: &Endpoint, cluster: &Cluster) -> Result<Roles, Error> {
    let client = app_database::open(endpoint, cluster).await?;
    let state = with_timeout("asking for its settings and roles", roles::state(&client)).await?;
    for (setting, value) in DURABILITY_SETTINGS.into_iter().zip(&state.settings) {
        if value != "on" {
            return Err(not_durable(setting, value.clone(), &cluster.path));
        }
    }
    let established = roles::establish(&client, &endpoint.database, &cluster.root, &state, None);
    match tokio::time::timeout(QUERY_TIMEOUT, established).await {
        Ok(Ok(roles)) => Ok(roles),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Error::QueryTimeout { what: "setting up its roles" }),
    }
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
