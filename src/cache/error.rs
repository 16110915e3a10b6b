//! Why Redis does not answer.

use std::time::Duration;

use redis::RedisError;

use super::error_reply::ErrorReply;

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectionError {
    /// None was made so far.
    #[error("not connected yet")]
    NotYet,
    /// There is no Redis.
    #[error("Redis is off")]
    NoServer,
    /// It was not made in time.
    #[error("no connection within {} ms", .0.as_millis())]
    ConnectTimeout(Duration),
    /// A command was not answered in time.
    #[error("no answer within {} ms", .0.as_millis())]
    ResponseTimeout(Duration),
    /// It failed.
    #[error("{0}")]
    Redis(#[source] RedisError),
    /// Redis answers, but refuses what the cache needs.
    #[error("Redis refuses commands: {0}")]
    Refused(ErrorReply),
}

impl ConnectionError {
    /// Whether the server is a replica, to which other processes may be connected as well.
    pub(super) fn is_role_change(&self) -> bool {
        matches!(self, Self::Refused(reply) if reply.is_role_change())
    }
}

impl From<RedisError> for ConnectionError {
    fn from(error: RedisError) -> Self {
        match ErrorReply::of(&error) {
            Some(reply) => Self::Refused(reply),
            None => Self::Redis(error),
        }
    }
}

/// Why a command has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// There is no connection.
    #[error("not connected: {0}")]
    NotConnected(#[source] ConnectionError),
    /// The connection failed during the command, did not answer in time, or Redis is in a state in which it refuses commands; the connection
    /// has been given up.
    #[error("{0}")]
    ConnectionLost(#[source] ConnectionError),
    /// Redis refused this command, or its answer has another form than expected.
    #[error("refused: {0}")]
    Rejected(#[source] RedisError),
}
