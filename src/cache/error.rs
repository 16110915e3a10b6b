//! Why Redis does not answer.

use std::time::Duration;

use redis::RedisError;

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectionError {
    /// None was made so far.
    #[error("not connected yet")]
    NotYet,
    /// It was not made in time.
    #[error("no connection within {} ms", .0.as_millis())]
    ConnectTimeout(Duration),
    /// A command was not answered in time.
    #[error("no answer within {} ms", .0.as_millis())]
    ResponseTimeout(Duration),
    /// It failed.
    #[error("{0}")]
    Redis(#[source] RedisError),
}

/// Why a command has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// There is no connection.
    #[error("not connected: {0}")]
    NotConnected(#[source] ConnectionError),
    /// The connection failed during the command, or did not answer in time, and has been given up.
    #[error("{0}")]
    ConnectionLost(#[source] ConnectionError),
    /// Redis refused the command, or its answer has another form than expected.
    #[error("refused: {0}")]
    Rejected(#[source] RedisError),
}
