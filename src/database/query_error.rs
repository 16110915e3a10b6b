//! Why a statement of a request has no result, and what that permits its caller to do.
//!
//! Policy: the cause is kept as it is, so that its SQLSTATE can be read. An error can be cloned, because one statement may serve
//! many requests. The text is for the log: of the server's words it has only the message, because the server's details quote the row.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

/// Why a statement has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// All connections were in use, or a new one was not made, until the deadline.
    #[error("no connection in time")]
    ConnectionTimeout,
    /// A new connection could not be made.
    #[error("{}", LogLine(.0))]
    Connect(#[source] Arc<tokio_postgres::Error>),
    /// The pool has no connection for another reason, for example because it is closed.
    #[error("{0}")]
    Pool(#[source] Arc<PoolError>),
    /// The statement did not end by the deadline.
    #[error("no answer in time")]
    StatementTimeout,
    /// The statement, or reading its result, failed.
    #[error("{}", LogLine(.0))]
    Statement(#[source] Arc<tokio_postgres::Error>),
}

/// What an error means for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The database cannot be used at the moment.
    Unavailable,
    /// A constraint forbids the row.
    Constraint,
    /// The statement cannot work: it is wrong, or the table is not as expected.
    Rejected,
}

/// Why the server could not store anything, as far as its error says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteObstacle {
    /// There is no space left, no file may be made any more, or the quota is used up.
    DiskFull,
    /// The file system is read-only.
    DiskReadOnly,
    /// The transaction is read-only: the server is a standby, or is set so.
    ReadOnlyTransaction,
}

impl WriteObstacle {
    /// The obstacle that an error of the server describes. PostgreSQL has a code for a full disk only; for a quota and a read-only file
    /// system it has those of any other error of a file, and the words of the C library.
    fn of(code: &SqlState, message: &str) -> Option<Self> {
        if *code == SqlState::DISK_FULL
            || message.ends_with("Disk quota exceeded")
            || message.ends_with("No space left on device")
        {
            return Some(Self::DiskFull);
        }
        if message.ends_with("Read-only file system") {
            return Some(Self::DiskReadOnly);
        }
        (*code == SqlState::READ_ONLY_SQL_TRANSACTION).then_some(Self::ReadOnlyTransaction)
    }
}

impl QueryError {
    pub(super) fn connect(error: tokio_postgres::Error) -> Self {
        Self::Connect(Arc::new(error))
    }

    pub(super) fn pool(error: PoolError) -> Self {
        Self::Pool(Arc::new(error))
    }

    /// The error of a statement, or of reading a row of its result.
    pub fn statement(error: tokio_postgres::Error) -> Self {
        Self::Statement(Arc::new(error))
    }

    /// The server's code, if the server reported the error.
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Connect(error) | Self::Statement(error) => error.code(),
            Self::ConnectionTimeout | Self::Pool(_) | Self::StatementTimeout => None,
        }
    }

    /// The constraint that the statement violates, if that is what the server reported.
    pub fn violated_constraint(&self) -> Option<&str> {
        let Self::Statement(error) = self else { return None };
        error.as_db_error()?.constraint()
    }

    /// Why the server could not store anything, if that is what it reported.
    pub fn write_obstacle(&self) -> Option<WriteObstacle> {
        let (Self::Connect(error) | Self::Statement(error)) = self else { return None };
        let error = error.as_db_error()?;
        WriteObstacle::of(error.code(), error.message())
    }

    /// What the error means for the request.
    pub fn class(&self) -> ErrorClass {
        let Self::Statement(error) = self else { return ErrorClass::Unavailable };
        if self.write_obstacle().is_some() {
            return ErrorClass::Unavailable;
        }
        let Some(state) = error.code() else {
            return if is_lost_connection(error) { ErrorClass::Unavailable } else { ErrorClass::Rejected };
        };
        match *state {
            SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::QUERY_CANCELED
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::LOCK_NOT_AVAILABLE => ErrorClass::Unavailable,
            _ if self.is_outdated_statement() || self.is_of_shared_session() => ErrorClass::Unavailable,
            // Class 08: connection; 53: out of resources, a full disk among them; 58: I/O error.
            _ if ["08", "53", "58"].iter().any(|class| state.code().starts_with(class)) => ErrorClass::Unavailable,
            // Class 23: a constraint that others added, because a conflict on our own key is not an error.
            _ if state.code().starts_with("23") => ErrorClass::Constraint,
            _ => ErrorClass::Rejected,
        }
    }

    /// Whether a read may be tried once more on another connection: this one was closed under it, as by a restart of the server, or
    /// its prepared statement was outdated. A write must not be tried again, since it is unknown how far it came.
    pub fn is_retryable(&self) -> bool {
        let Self::Statement(error) = self else { return false };
        match error.code() {
            None => is_lost_connection(error),
            Some(state) => {
                self.is_outdated_statement()
                    || self.is_of_shared_session()
                    || [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(state)
            }
        }
    }

    /// Whether a prepared statement turned out to belong to another session, or its name to another program. It was refused before it was run, so that even
    /// a write may be tried again.
    pub(super) fn is_of_shared_session(&self) -> bool {
        let foreign = [
            SqlState::INVALID_SQL_STATEMENT_NAME,
            SqlState::DUPLICATE_PSTATEMENT,
            // "bind message supplies 4 parameters, but prepared statement requires 2"
            SqlState::PROTOCOL_VIOLATION,
        ];
        let Self::Statement(error) = self else { return false };
        let Some(error) = error.as_db_error() else { return false };
        foreign.contains(error.code()) && error.message().contains("prepared statement")
    }

    /// Whether a prepared statement has outlived what it was prepared for: a column's type was altered ("cached plan must
    /// not change result type"), or a proxy exchanged the session it belonged to.
    pub(super) fn is_outdated_statement(&self) -> bool {
        let outdated = [SqlState::FEATURE_NOT_SUPPORTED, SqlState::INVALID_SQL_STATEMENT_NAME];
        matches!(self, Self::Statement(error) if error.code().is_some_and(|state| outdated.contains(state)))
    }
}

/// Runs a write, and once more if it was refused before it was run, because its session turned out to be shared. After any other error it is unknown how far it
/// came, and it is not repeated.
///
/// # Errors
/// That of the last attempt.
pub async fn repeat_refused_write<T, F>(write: impl Fn() -> F) -> Result<T, QueryError>
where
    F: Future<Output = Result<T, QueryError>>,
{
    match write().await {
        Err(error) if error.is_of_shared_session() => write().await,
        outcome => outcome,
    }
}

fn is_lost_connection(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || StdError::source(error).is_some_and(|source| source.is::<std::io::Error>())
}

/// The error with its causes, on one line.
struct LogLine<'a>(&'a tokio_postgres::Error);

impl fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = self.0.as_db_error() {
            return write!(f, "{} {}: {}", error.severity(), error.code().code(), error.message());
        }
        write!(f, "{}", self.0)?;
        let mut cause = StdError::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_a_quota_and_a_read_only_file_system_are_told_by_code_or_words() {
        let of = |code: &str, message: &str| WriteObstacle::of(&SqlState::from_code(code), message);
        let file = "could not extend file \"base/16384/16391\"";
        assert_eq!(of("53100", &format!("{file}: No space left on device")), Some(WriteObstacle::DiskFull));
        assert_eq!(
            of("53100", "could not extend file \"x\": wrote only 4096 of 8192 bytes at block 5"),
            Some(WriteObstacle::DiskFull)
        );
        assert_eq!(of("58030", &format!("{file}: Disk quota exceeded")), Some(WriteObstacle::DiskFull));
        assert_eq!(of("XX000", &format!("{file}: Disk quota exceeded")), Some(WriteObstacle::DiskFull));
        assert_eq!(of("42501", &format!("{file}: Read-only file system")), Some(WriteObstacle::DiskReadOnly));
        let standby = "cannot execute INSERT in a read-only transaction";
        assert_eq!(of("25006", standby), Some(WriteObstacle::ReadOnlyTransaction));
        for (code, message) in
            [("42501", "permission denied for table records"), ("58030", &format!("{file}: Input/output error"))]
        {
            assert_eq!(of(code, message), None, "{message}");
        }
    }
}
