//! Why the appliance did not start, or ended by a failure. Each message says what failed and what to do.

use std::io;
use std::net::SocketAddr;

use crate::database;
use crate::managed::{distribution, lock, mini_redis, postgres, privileges, redis, shim};
use crate::telemetry::log;

/// Why the appliance failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Logging could not be set up.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// Signals could not be caught.
    #[error("cannot catch SIGTERM and SIGINT: {0}")]
    Signals(#[source] io::Error),
    /// Nobody to become, when started as root.
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// The data directory is somebody else's.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {}", remedy(source))]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// What the service manager passed is no socket to serve on.
    #[error(
        "cannot listen on what the service manager passed (LISTEN_FDS): {0}; the socket unit must have exactly one ListenStream= with a TCP address"
    )]
    PassedSocket(String),
    /// There is no PostgreSQL to run.
    #[error(transparent)]
    Distribution(#[from] distribution::Error),
    /// The managed PostgreSQL did not start.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// The managed Redis can never work.
    #[error(transparent)]
    Redis(#[from] redis::Error),
    /// The external Redis cannot be addressed.
    #[error("the Redis of the configuration cannot be used: {0}; correct redis.host or redis.url")]
    RedisAddress(::redis::RedisError),
    /// A managed backend is missing after its start: a bug of ours.
    #[error("{0} is to be managed and was not started; this is a bug, please report it")]
    NoBackend(&'static str),
    /// The accept loop is gone: a bug of ours, and a restart is the remedy.
    #[error("the HTTP server ended by itself ({0:?}); this is a bug, please report it")]
    Server(Option<tokio::task::JoinError>),
    /// PostgreSQL cannot be used.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// Two metrics share a name.
    #[error("the metrics cannot be declared: {0}")]
    Metrics(#[from] prometheus::Error),
    /// No random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// A sample record could not be stored.
    #[error("the sample records could not be stored: {0}")]
    Samples(#[source] crate::attendance::Error),
    /// A sample record has no valid date: a bug.
    #[error("the sample records could not be stored: no date: {0}")]
    SampleDate(String),
    /// A supervised child could not be run.
    #[error(transparent)]
    Child(#[from] shim::Error),
    /// pg-embed failed.
    #[cfg(feature = "download")]
    #[error(transparent)]
    PgEmbed(#[from] crate::managed::pg_embed::Error),
    /// mini-redis could not be run.
    #[error(transparent)]
    MiniRedis(#[from] mini_redis::Error),
}

impl Error {
    /// Whether a newer version has migrated the database: only an upgrade helps.
    pub fn is_newer_database(&self) -> bool {
        matches!(self, Self::Database(database::Error::Newer { .. }))
    }

    /// Whether the address cannot be listened on: somebody has to free it or choose another.
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
