//! Why a request of the domain failed.
//!
//! Policy: one variant for each answer that a client can get; the cause is kept as it is, for the log and for its SQLSTATE. An error can be
//! cloned, because one statement may serve many requests.

use bytes::Bytes;

use super::date::Date;
use crate::database::strict_directory::STRICT_DIRECTORY_KEY;
use crate::database::{BatchError, ErrorClass, QueryError, UnavailableError};

/// Why a request of the domain failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The employee already has a record of that day.
    #[error("the employee already has a record of that day")]
    Conflict,
    /// There is no such record.
    #[error("there is no such record")]
    NotFound,
    /// The record is not in the state that the request requires; contains its current entity tag.
    #[error("the record has another entity tag")]
    Changed(Bytes),
    /// Days before this one are closed to changes.
    #[error("records before {0} are closed to changes")]
    Closed(Date),
    /// The directory is strict, and does not have the employee of the record.
    #[error("the employee is not in the directory")]
    UnknownEmployee,
    /// The directory is strict, and the employee has records.
    #[error("the employee has records")]
    EmployeeHasRecords,
    /// A group of a summary has more different statuses than are held in memory.
    #[error("a group of the summary has too many statuses")]
    SummaryTooLarge,
    /// A rule that others added to the table forbids the record.
    #[error("a rule of the database forbids the record: {0}")]
    Forbidden(#[source] QueryError),
    /// The request was not served, or not in time; a later attempt may succeed.
    #[error("the database is not available: {0}")]
    Unavailable(#[from] UnavailableError),
    /// As many lists are being read or sent as may be; a later attempt may succeed.
    #[error("too many lists are being read")]
    ListsBusy,
    /// PostgreSQL rejected a statement: it is wrong, or the table is not as expected.
    #[error("the database refused a statement: {0}")]
    Rejected(#[source] QueryError),
}

/// What an error says about the change that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing was changed, and the error says nothing about the data.
    None,
    /// The error follows from the data as they are.
    Known,
    /// The change may have happened, or may happen later.
    Unknown,
}

impl Error {
    /// What the error says about the change that was asked for.
    pub(super) fn effect(&self) -> Effect {
        match self {
            Self::Conflict | Self::NotFound | Self::Changed(_) | Self::EmployeeHasRecords => Effect::Known,
            Self::Closed(_) | Self::UnknownEmployee | Self::SummaryTooLarge | Self::Forbidden(_) | Self::ListsBusy => {
                Effect::None
            }
            Self::Unavailable(_) | Self::Rejected(_) => Effect::Unknown,
        }
    }

    /// Whether a read may be tried once more, see [`QueryError::is_retryable`].
    pub(super) fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(UnavailableError::Query(error)) if error.is_retryable())
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error.class() {
            ErrorClass::Unavailable => Self::Unavailable(error.into()),
            ErrorClass::Constraint if error.violated_constraint() == Some(STRICT_DIRECTORY_KEY) => {
                Self::UnknownEmployee
            }
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
