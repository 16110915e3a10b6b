//! What PostgreSQL answers when it refuses something, in the words that Liquibase shows.
//!
//! Liquibase shows the text of PostgreSQL's JDBC driver. [`PostgresError`] lays out an error in that form, and keeps the error itself
//! for callers that need its SQLSTATE.

use std::error::Error;
use std::fmt;

use tokio_postgres::error::{ErrorPosition, SqlState};

/// An error of PostgreSQL, or of the connection to it. Its text includes that of its cause.
#[derive(Debug)]
pub struct PostgresError(tokio_postgres::Error);

impl PostgresError {
    /// The SQLSTATE, if the server sent the error.
    pub fn sql_state(&self) -> Option<&SqlState> {
        self.0.code()
    }

    /// The error of the PostgreSQL client.
    pub fn as_inner(&self) -> &tokio_postgres::Error {
        &self.0
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for PostgresError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        PostgresMessage(&self.0).fmt(out)
    }
}

impl Error for PostgresError {}

/// A statement that PostgreSQL refused.
#[derive(Debug, thiserror::Error)]
#[error("{source} [Failed SQL: (0) {statement}]")]
#[non_exhaustive]
pub struct StatementError {
    /// The statement.
    pub statement: String,
    /// The answer.
    pub source: PostgresError,
}

impl StatementError {
    pub(crate) fn new(statement: &str, error: tokio_postgres::Error) -> Self {
        Self { statement: statement.to_owned(), source: error.into() }
    }
}

/// The text of an error as the JDBC driver shows it.
pub(crate) struct PostgresMessage<'a>(pub(crate) &'a tokio_postgres::Error);

impl fmt::Display for PostgresMessage<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(db) = self.0.as_db_error() else {
            return match self.0.source() {
                Some(cause) => write!(out, "{}: {cause}", self.0),
                None => write!(out, "{}", self.0),
            };
        };
        write!(out, "{}: {}", db.severity(), db.message())?;
        let position = match db.position() {
            Some(ErrorPosition::Original(position)) => Some(position.to_string()),
            _ => None,
        };
        let parts =
            [("Detail", db.detail()), ("Hint", db.hint()), ("Position", position.as_deref()), ("Where", db.where_())];
        for (name, part) in parts {
            if let Some(part) = part {
                write!(out, "\n  {name}: {part}")?;
            }
        }
        Ok(())
    }
}
