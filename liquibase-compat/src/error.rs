//! Why a command failed: one variant for each situation.
//!
//! [`LoadError`]: the changelog cannot be read. [`ValidationError`]: it can be read but must not run on this database. [`Error`]:
//! these two and everything else. When a run stops halfway, the error carries the [`Report`] of what was done.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::changeset_error::{ChangeSetError, RollbackError, SqlGenerationError};
use crate::changeset_id::ChangeSetId;
use crate::load_error::LoadError;
use crate::postgres_error::PostgresMessage;
use crate::report::Report;
use crate::validation_error::ValidationError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The changelog cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The changelog must not run on this database.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// PostgreSQL refused a statement that is not part of a changeset.
    #[error("{doing} failed: {}", PostgresMessage(.source))]
    Database {
        /// The operation.
        doing: &'static str,
        /// The answer of PostgreSQL, or the error of the connection.
        source: tokio_postgres::Error,
    },
    /// PostgreSQL did not answer a query about the lock in time.
    #[error("{doing}: the database did not answer within {} s; is it overloaded or stopped?", .after.as_secs())]
    NoAnswer {
        /// The operation.
        doing: &'static str,
        /// The time limit.
        after: Duration,
    },
    /// The database contains something that cannot be written as formatted SQL.
    #[error("cannot write the database as formatted SQL: {0}; choose xml, yaml or json")]
    Generate(#[source] SqlGenerationError),
    /// The connection has no schema to create tables in.
    #[error("the search_path of the connection names no existing schema; create it or correct the search_path")]
    NoSchema,
    /// Another process holds the lock and did not release it in time.
    #[error(
        "Could not acquire change log lock.  Currently locked by {holder} since {since}; waited {} s. If that process is gone, \
         release the lock (UPDATE databasechangeloglock SET locked = FALSE, lockedby = NULL, lockgranted = NULL)",
        .waited.as_secs()
    )]
    Locked {
        /// The holder's description of itself: `hostname (address)`, or the description of a database session.
        holder: String,
        /// Since when, as the database shows it.
        since: String,
        /// How long this process waited.
        waited: Duration,
    },
    /// A changeset failed and was undone. The report has those before it.
    #[error("Migration failed for changeset {changeset}:\n     Reason: {source}")]
    ChangeSet {
        /// The changeset.
        changeset: ChangeSetId,
        /// Why it failed.
        source: Box<ChangeSetError>,
        /// What this run did before.
        report: Box<Report>,
    },
    /// A changeset cannot be rolled back. The report has those before it.
    #[error("Could not roll back {changeset}: {source}")]
    RollbackImpossible {
        /// The changeset.
        changeset: ChangeSetId,
        /// Why, for example `No inverse to ... created`.
        source: Box<RollbackError>,
        /// What this run rolled back before.
        report: Box<Report>,
    },
    /// The changelog does not contain this changeset.
    #[error("No such changeSet: {changeset}")]
    UnknownChangeSet {
        /// The requested changeset.
        changeset: ChangeSetId,
    },
    /// No row of the history has the tag.
    #[error("Could not find tag '{tag}' in the database")]
    UnknownTag {
        /// The requested tag.
        tag: String,
    },
}

impl Error {
    /// The SQLSTATE of PostgreSQL's error, if that is the cause.
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Database { source, .. } => source.code(),
            Self::ChangeSet { source, .. } => source.sql_state(),
            Self::RollbackImpossible { source, .. } => source.sql_state(),
            _ => None,
        }
    }

    pub(crate) fn database(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> Self {
        move |source| Self::Database { doing, source }
    }
}
