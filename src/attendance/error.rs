//! Why a request of the domain failed.
//!
//! Policy: one variant for each answer that a client can get; the cause is kept as it is, for the log and for its SQLSTATE. An error can be
//! cloned, because one statement may serve many requests.

use crate::database::{BatchError, ErrorClass, QueryError};

/// Why a request of the domain failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The employee already has a record of that day.
    #[error("the employee already has a record of that day")]
    Conflict,
    /// A rule that others added to the table forbids the record.
    #[error("a rule of the database forbids the record: {0}")]
    Forbidden(#[source] QueryError),
    /// The request was not served, or not in time; a later attempt may succeed.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] UnavailableError),
    /// PostgreSQL rejected a statement: it is wrong, or the table is not as expected.
    #[error("the database refused a statement: {0}")]
    Rejected(#[source] QueryError),
}

/// Why a request was not served although a later attempt may succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UnavailableError {
    /// PostgreSQL could not be reached, or did not answer in time.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The request had no place in a batch, or no result from it in time.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The connections that lists may use are all in use.
    #[error("too many lists are being read")]
    TooManyLists,
    /// As many lists are streamed as may be.
    #[error("{max} lists are being sent already")]
    TooManyStreams {
        /// How many.
        max: usize,
    },
}

impl Error {
    /// Whether a read may be tried once more, see [`QueryError::is_retryable`].
    pub(super) fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(UnavailableError::Query(error)) if error.is_retryable())
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error.class() {
            ErrorClass::Unavailable => Self::Unavailable(error.into()),
            ErrorClass::Constraint => Self::Forbidden(error),
            ErrorClass::Rejected => Self::Rejected(error),
        }
    }
}

impl From<BatchError> for Error {
    fn from(error: BatchError) -> Self {
        Self::Unavailable(error.into())
    }
}

/// The database failed in the middle of a streamed answer.
#[derive(Debug, thiserror::Error)]
#[error("the database failed in the middle of the answer: {0}")]
pub struct StreamError(#[from] Error);
