//! Why there is no managed PostgreSQL.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::installation::Installation;
use super::{cluster, config_files, distribution, process, run_dir, superuser};
use crate::database;

/// The time-out of one query to a server that has reported that it is ready.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

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
    /// The server's configuration cannot be written.
    #[error(transparent)]
    ConfigFiles(#[from] config_files::Error),
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
    /// It started and refused its superuser, whose login could not be restored.
    #[error(transparent)]
    Superuser(#[from] superuser::Error),
    /// It refuses its superuser, also after the login was set again.
    #[error(
        "PostgreSQL ({path}) refuses the superuser of the appliance, also with a new password: {source}; restore the cluster from a backup, or \
         move it away to start with an empty database",
        path = .path.display()
    )]
    SuperuserRefused {
        /// The cluster.
        path: PathBuf,
        /// The error of the server.
        source: tokio_postgres::Error,
    },
    /// The database that the cluster had was dropped.
    #[error(
        "the database {name} was dropped from the cluster {path}, and an empty one is not put in its place; restore the cluster from a \
         backup, or move it away to start with an empty database, into which a dump can be restored",
        path = .path.display()
    )]
    DatabaseDropped {
        /// The database.
        name: String,
        /// The cluster.
        path: PathBuf,
    },
    /// The cluster has no database of that name, and several that may have been it.
    #[error(
        "the cluster {path} has no database {name}, and several that may have had that name: {found}; drop those that are not needed, or move \
         the cluster away to start with an empty database (to enter it: postgres --single -D {path} template1)",
        path = .path.display(),
        found = .found.join(", ")
    )]
    DatabaseUnclear {
        /// The database.
        name: String,
        /// The cluster.
        path: PathBuf,
        /// The names of the databases.
        found: Vec<String>,
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

/// Runs a query with a time-out.
pub(super) async fn with_timeout<T>(
    what: &'static str,
    query: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(QUERY_TIMEOUT, query).await {
        Ok(result) => result.map_err(|source| Error::Query { what, source }),
        Err(_) => Err(Error::QueryTimeout { what }),
    }
}
