//! Why a changeset could not run or could not be rolled back. The texts are Liquibase's, because people search for them.

use tokio_postgres::error::SqlState;

use crate::change::ChangeError;
use crate::changeset_id::ChangeSetId;
use crate::modify_sql::ModifySqlError;
use crate::postgres_error::{PostgresError, StatementError};
use crate::precondition_error::PreconditionError;
use crate::validation_problem::ValidationProblem;

/// Why no SQL can be generated for a changeset or for its rollback.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlGenerationError {
    /// A change has no SQL, or no inverse.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// An expression of its `modifySql` cannot be matched.
    #[error(transparent)]
    ModifySql(#[from] ModifySqlError),
    /// SQL text of a changeset whose path ends with `.sql` is to be rolled back, and the changeset has no rollback.
    #[error(
        "Liquibase does not support automatic rollback generation for raw sql changes (did you mean to specify keyword \"empty\" \
         to ignore rolling back this change?)"
    )]
    NoSqlRollback,
    /// A change of its rollback is invalid.
    #[error(
        "Rollback statement failed validation: {}",
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    InvalidRollback {
        /// What validation found.
        problems: Vec<ValidationProblem>,
    },
    /// Its rollback refers to a changeset that does not exist.
    #[error("its rollback refers to {reference}, which is not in the changelog")]
    UnknownReference {
        /// The changeset that the rollback refers to.
        reference: Box<ChangeSetId>,
    },
}

/// Why a changeset failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeSetError {
    /// Its preconditions are not met, and `onFail` or `onError` is HALT.
    #[error("\n          {}", .0.messages_and_causes("\n          "))]
    Precondition(#[source] Box<PreconditionError>),
    /// No SQL can be generated for it.
    #[error(transparent)]
    SqlGeneration(#[from] SqlGenerationError),
    /// PostgreSQL refused one of its statements.
    #[error("liquibase.exception.DatabaseException: {0}")]
    Statement(#[source] StatementError),
    /// PostgreSQL refused to write its row into the history.
    #[error(transparent)]
    HistoryRow(StatementError),
    /// PostgreSQL refused a statement of this crate, for example to begin the transaction.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
}

/// Why a changeset could not be rolled back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackError {
    /// No SQL can be generated for its rollback.
    #[error(transparent)]
    SqlGeneration(#[from] SqlGenerationError),
    /// PostgreSQL refused a statement of the rollback.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// PostgreSQL refused a statement of this crate, for example to commit the transaction.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
}

impl ChangeSetError {
    /// The SQLSTATE of PostgreSQL's error, if that is the cause.
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Precondition(error) => error.sql_state(),
            Self::SqlGeneration(_) => None,
            Self::Statement(error) | Self::HistoryRow(error) => error.source.sql_state(),
            Self::Postgres(error) => error.sql_state(),
        }
    }
}

impl From<tokio_postgres::Error> for ChangeSetError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error.into())
    }
}

impl RollbackError {
    /// The SQLSTATE of PostgreSQL's error, if that is the cause.
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::SqlGeneration(_) => None,
            Self::Statement(error) => error.source.sql_state(),
            Self::Postgres(error) => error.sql_state(),
        }
    }
}

impl From<tokio_postgres::Error> for RollbackError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error.into())
    }
}
