//! Why preconditions are not met. The texts are Liquibase's.

use std::fmt;

use tokio_postgres::error::SqlState;

use crate::postgres_error::PostgresError;

/// Preconditions that are not met, or could not be checked.
///
/// The text is the message that the changelog gives for conditions that do not hold (`onFailMessage`), or that of the condition. Because the
/// message of the changelog replaces the other, the condition's error is not a `source`; [`PreconditionError::condition`] has it. What the
/// changelog says of conditions that could not be checked (`onErrorMessage`) stands beside it.
#[derive(Debug)]
pub struct PreconditionError {
    /// The changelog that contains them.
    pub(crate) file: String,
    /// The message that the changelog gives.
    pub(crate) message: Option<String>,
    pub(crate) condition: ConditionError,
}

impl PreconditionError {
    /// The condition that is not met.
    pub fn condition(&self) -> &ConditionError {
        &self.condition
    }

    /// Whether it could not be checked, unlike one that does not hold.
    pub fn is_unchecked(&self) -> bool {
        !self.condition.is_not_met()
    }

    /// The message of the changelog, or that of each condition.
    pub(crate) fn messages(&self) -> Vec<String> {
        let text = |message: &dyn fmt::Display| format!("{} : {message}", self.file);
        match (self.message.as_ref().filter(|_| !self.is_unchecked()), &self.condition) {
            (Some(message), _) => vec![text(message)],
            (None, ConditionError::NoneMet(conditions)) => conditions.iter().map(|one| text(one)).collect(),
            (None, condition) => vec![text(condition)],
        }
    }

    /// What happened, without the conditions.
    pub(crate) fn summary(&self) -> &str {
        match (self.is_unchecked(), &self.message) {
            (false, _) => "Preconditions Failed",
            (true, None) => "Precondition Error",
            (true, Some(message)) => message,
        }
    }

    /// The messages, and what has caused them as far as the text does not contain it already, for the message about a changeset.
    pub(crate) fn messages_and_causes(&self, separator: &str) -> String {
        let mut text = self.messages().join(separator);
        let of_query = match (&self.message, &self.condition) {
            (None, ConditionError::Sql { sql, source }) => Some(format!("Error executing SQL {sql}: {source}")),
            _ => None,
        };
        for cause in std::iter::once(self.summary().to_owned()).chain(of_query) {
            if !text.contains(&cause) {
                text.push_str(&format!("\n  - Caused by: {cause}"));
            }
        }
        text
    }

    /// The SQLSTATE of PostgreSQL's error, if that is the cause.
    pub fn sql_state(&self) -> Option<&SqlState> {
        match &self.condition {
            ConditionError::Postgres(error) | ConditionError::Sql { source: error, .. } => error.sql_state(),
            _ => None,
        }
    }
}

impl fmt::Display for PreconditionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.messages().join("; "))
    }
}

impl std::error::Error for PreconditionError {}

/// Why one condition is not met.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConditionError {
    /// It does not hold.
    #[error("{0}")]
    NotMet(String),
    /// Of several conditions, none holds.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoneMet(Vec<ConditionError>),
    /// PostgreSQL refused to look it up.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// PostgreSQL refused its query.
    #[error("{source}")]
    Sql {
        /// The query.
        sql: String,
        /// What PostgreSQL said.
        source: PostgresError,
    },
    /// Its query returned no row.
    #[error("Empty result set, expected one row")]
    NoRow,
    /// Its query returned more than one row.
    #[error("Result set larger than one row")]
    SeveralRows,
    /// Its query returned more than one column.
    #[error("Result set larger than one column")]
    SeveralColumns,
    /// It cannot be checked in a script, and `onSqlOutput` is FAIL.
    #[error("Unexpected precondition in updateSQL mode with onUpdateSQL value: FAIL")]
    SqlOutput,
}

impl ConditionError {
    /// Whether it does not hold, unlike one that could not be checked.
    pub(crate) fn is_not_met(&self) -> bool {
        matches!(self, Self::NotMet(_) | Self::NoneMet(_) | Self::SqlOutput)
    }
}

impl From<tokio_postgres::Error> for ConditionError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error.into())
    }
}
