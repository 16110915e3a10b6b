//! Why the appliance did not start, or ended with an error. Each message says what failed and what to do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::access;
use crate::database;
use crate::managed::{distribution, lock, mini_redis, postgres, privileges, redis, shim};
use crate::operate;
use crate::telemetry::log;

use super::{seed, socket_activation};

/// Why the appliance did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Logging could not be set up.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// Signals could not be caught.
    #[error("cannot catch SIGTERM and SIGINT: {0}")]
    Signals(#[source] io::Error),
    /// Started as root, and there is no unprivileged user to become.
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// Another process uses the data directory.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The address is taken, or not one of this machine.
    #[error("cannot listen on {address}: {source}; {}", remedy(source))]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The service manager passed a socket that cannot be served on.
    #[error(
        "cannot listen on what the service manager passed (LISTEN_FDS): {0}; the socket unit must have exactly one ListenStream= with a TCP address"
    )]
    PassedSocket(#[from] socket_activation::Error),
    /// There is no PostgreSQL program to run.
    #[error(transparent)]
    Distribution(#[from] distribution::Error),
    /// The managed PostgreSQL did not start.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// The managed Redis cannot be started at all.
    #[error(transparent)]
    Redis(#[from] redis::Error),
    /// The address of Redis is not one that the client understands.
    #[error("the Redis of the configuration cannot be used: {0}; correct redis.host or redis.url")]
    RedisAddress(#[source] ::redis::RedisError),
    /// A command that only reads was given a data directory without a database.
    #[error(
        "there is no database in {}; {}",
        .data_dir.display(),
        match .elsewhere {
            Some(path) => format!("did you mean --data-dir {}?", path.display()),
            None => "name the data directory of the appliance (--data-dir), or start it once: attendance-api serve".to_owned(),
        }
    )]
    NoDatabase {
        /// The data directory.
        data_dir: PathBuf,
        /// Another data directory that has one.
        elsewhere: Option<PathBuf>,
    },
    /// A managed backend is missing after its start: a bug.
    #[error("{0} is to be managed and was not started; this is a bug, please report it")]
    NoBackend(&'static str),
    /// The accept loop has ended: a bug; a restart helps.
    #[error("the HTTP server ended by itself ({0:?}); this is a bug, please report it")]
    Server(Option<tokio::task::JoinError>),
    /// The database cannot be reached, used or migrated.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// An operation on accounts, sessions or tokens failed.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// Two metrics have the same name: a bug.
    #[error("the metrics cannot be declared: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The operating system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[source] getrandom::Error),
    /// A seed record of a demonstration could not be stored.
    #[error("the sample records could not be stored: {0}")]
    Seed(#[from] seed::Error),
    /// The program of a supervised child could not be executed.
    #[error(transparent)]
    Child(#[from] shim::Error),
    /// An operation on backups failed.
    #[error(transparent)]
    Operate(Box<operate::Error>),
    /// The backup before an upgrade failed.
    #[error(
        "attendance-api {previous} used this database last, and the backup before its upgrade failed: {source}; nothing was changed: remove the reason and \
         start again, or use the version before"
    )]
    UpgradeBackup {
        /// The version that ran last.
        previous: String,
        /// Why there is no backup.
        source: Box<operate::Error>,
    },
    /// The helper process that runs pg-embed failed.
    #[cfg(feature = "download")]
    #[error(transparent)]
    PgEmbed(#[from] crate::managed::pg_embed::Error),
    /// The child process that runs mini-redis failed.
    #[error(transparent)]
    MiniRedis(#[from] mini_redis::Error),
}

impl From<operate::Error> for Error {
    fn from(error: operate::Error) -> Self {
        Self::Operate(Box::new(error))
    }
}

impl Error {
    /// Whether a newer version has migrated the database, so that only an upgrade helps.
    pub fn is_newer_database(&self) -> bool {
        matches!(self, Self::Database(database::Error::Newer { .. }))
    }

    /// Whether the address cannot be listened on, so that a restart does not help.
    pub fn is_address(&self) -> bool {
        matches!(self, Self::Listen { .. })
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has the port: stop it, or choose another with --listen or server.listen"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: choose another with --listen or server.listen"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address: correct --listen or server.listen",
        _ => "choose another with --listen or server.listen",
    }
}
