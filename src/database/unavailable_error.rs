//! Why the database did not serve a request that a later attempt may serve.
//!
//! Policy: one type for every module whose requests use the database, so that each of them tells the same states apart: PostgreSQL cannot be used, its disk
//! takes nothing, or it accepts no changes.

use std::fmt;

use super::batcher::BatchError;
use super::query_error::{QueryError, WriteObstacle};

/// Why a request was not served although a later attempt may succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UnavailableError {
    /// PostgreSQL could not be reached, or did not answer in time.
    #[error(transparent)]
    Query(QueryError),
    /// The request had no place in a batch, or no result from it in time.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The disk of the database takes nothing.
    #[error("the disk of the database is {0}")]
    Disk(DiskProblem),
    /// The database accepts no changes at the moment.
    #[error("the database is read-only: {0}")]
    ReadOnly(#[source] QueryError),
}

/// Why the disk takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskProblem {
    /// There is no space left, no file may be made any more, or the quota is used up.
    Full,
    /// The file system is mounted read-only, or has become so after an error.
    ReadOnly,
}

impl fmt::Display for DiskProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::ReadOnly => "read-only",
        })
    }
}

impl From<QueryError> for UnavailableError {
    fn from(error: QueryError) -> Self {
        match error.write_obstacle() {
            Some(WriteObstacle::DiskFull) => Self::Disk(DiskProblem::Full),
            Some(WriteObstacle::DiskReadOnly) => Self::Disk(DiskProblem::ReadOnly),
            Some(WriteObstacle::ReadOnlyTransaction) => Self::ReadOnly(error),
            None => Self::Query(error),
        }
    }
}
