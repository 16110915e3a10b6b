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

impl UnavailableError {
    /// What a client is told: the state, and whether to try again.
    pub fn explanation(&self) -> &'static str {
        match self {
            Self::Disk(DiskProblem::Full) => {
                "The disk of the database is full: nothing can be stored until there is space again. Reads are answered."
            }
            Self::Disk(DiskProblem::ReadOnly) => {
                "The disk of the database is read-only: nothing can be stored until its operator has repaired it. Reads are answered."
            }
            Self::ReadOnly(_) => {
                "The database accepts no changes at the moment. Reads are answered. Try again shortly."
            }
            Self::Query(_) | Self::Batch(_) => "The database cannot be used at the moment. Try again shortly.",
        }
    }
}

/// Why the disk takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskProblem {
    /// There is no space left, no file may be made any more, or the quota is used up.
    Full,
    /// The file system is mounted read-only, or has become so after an error.
    ReadOnly,
}

impl DiskProblem {
    /// The state of the disk in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read-only",
        }
    }
}

impl fmt::Display for DiskProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
