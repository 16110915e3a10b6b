//! The one connection to Redis, shared by all requests.
//!
//! Policy: a request never waits for a connection to be made. A command that finds the connection broken, or too slow,
//! takes it down for all requests; from then on their commands fail at once, until the background task has made a new connection that answers.
//! An error reply that is a state of the server (`error_reply.rs`) takes it down as well, because the next connection may lead to a server
//! without that state. A connection is in use only after it has written and read. Without a server there is never one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, Pipeline, RedisError};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::commands::{Redis, SetEntry};
use super::error::{CommandError, ConnectionError};
use super::error_reply::ErrorReply;

/// A connection must be made, login included, within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The connection, while there is one.
#[derive(Debug)]
pub(super) struct Connection {
    /// The server; `None` if there is none.
    client: Option<redis::Client>,
    /// Whether MGET is used, which mini-redis does not have.
    uses_mget: bool,
    state: Mutex<State>,
    lost: Notify,
    wanted: Notify,
}

#[derive(Debug)]
enum State {
    Connected(NumberedConnection),
    Disconnected(ConnectionError),
}

/// A connection and its number: a command must not take down the successor of the connection that it used.
#[derive(Clone)]
struct NumberedConnection {
    number: u64,
    connection: MultiplexedConnection,
}

impl std::fmt::Debug for NumberedConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NumberedConnection").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Why a pipeline has no answer.
enum QueryError {
    Timeout,
    Redis(RedisError),
}

impl NumberedConnection {
    async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline, limit: Duration) -> Result<T, QueryError> {
        // A clone is a handle of the one connection.
        let mut connection = self.connection.clone();
        match timeout(limit, pipeline.query_async(&mut connection)).await {
            Ok(answer) => answer.map_err(QueryError::Redis),
            Err(_) => Err(QueryError::Timeout),
        }
    }
}

impl Connection {
    /// Not connected until [`Connection::connect`].
    pub(super) fn new(client: redis::Client, uses_mget: bool) -> Self {
        Self::of(Some(client), uses_mget, ConnectionError::NotYet)
    }

    /// Never connected, because there is no Redis.
    pub(super) fn absent() -> Self {
        Self::of(None, false, ConnectionError::NoServer)
    }

    fn of(client: Option<redis::Client>, uses_mget: bool, error: ConnectionError) -> Self {
        let state = Mutex::new(State::Disconnected(error));
        Self { client, uses_mget, state, lost: Notify::new(), wanted: Notify::new() }
    }

    /// Whether there is a server to connect to.
    pub(super) fn has_server(&self) -> bool {
        self.client.is_some()
    }

    /// Runs a pipeline in one round trip.
    async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline, limit: Duration) -> Result<T, CommandError> {
        let connection = self.current()?;
        connection.query(pipeline, limit).await.map_err(|error| self.failed(&connection, error, limit))
    }

    /// What the error of a command is for its caller; an error that is more than one command's takes the connection down.
    fn failed(&self, connection: &NumberedConnection, error: QueryError, limit: Duration) -> CommandError {
        let error = match error {
            QueryError::Timeout => ConnectionError::ResponseTimeout(limit),
            QueryError::Redis(error) => match ErrorReply::of(&error) {
                Some(reply) if reply.is_about_one_command() => return CommandError::Rejected(error),
                Some(reply) => ConnectionError::Refused(reply),
                None if error.is_unrecoverable_error() || error.is_io_error() => ConnectionError::Redis(error),
                None => return CommandError::Rejected(error),
            },
        };
        self.give_up(connection.number, error)
    }

    /// Makes a connection, which is in use once it has stored `first` within `limit`. `number` differs from that of every
    /// other connection.
    pub(super) async fn connect(&self, number: u64, first: &SetEntry, limit: Duration) -> Result<(), ConnectionError> {
        let outcome = self.open(first, limit).await;
        let mut state = self.state();
        match outcome {
            Ok(connection) => {
                *state = State::Connected(NumberedConnection { number, connection });
                Ok(())
            }
            Err(error) => {
                *state = State::Disconnected(error.clone());
                Err(error)
            }
        }
    }

    async fn open(&self, first: &SetEntry, limit: Duration) -> Result<MultiplexedConnection, ConnectionError> {
        let client = self.client.as_ref().ok_or(ConnectionError::NoServer)?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connection) => connection?,
            Err(_) => return Err(ConnectionError::ConnectTimeout(CONNECT_TIMEOUT)),
        };
        let mut pipeline = set_pipeline(std::slice::from_ref(first));
        pipeline.get(&first.key).ignore();
        if self.uses_mget {
            pipeline.cmd("MGET").arg(&first.key).ignore();
        }
        match timeout(limit, pipeline.query_async::<()>(&mut connection)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(ConnectionError::ResponseTimeout(limit)),
        }
        Ok(connection)
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(&*self.state(), State::Connected(_))
    }

    /// Why there is no connection; `None` while there is one.
    pub(super) fn error(&self) -> Option<ConnectionError> {
        match &*self.state() {
            State::Connected(_) => None,
            State::Disconnected(error) => Some(error.clone()),
        }
    }

    /// Returns when the connection has been given up.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Asks for an attempt to connect without the usual pause.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Returns when an attempt to connect was asked for.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    fn current(&self) -> Result<NumberedConnection, CommandError> {
        match &*self.state() {
            State::Connected(connection) => Ok(connection.clone()),
            State::Disconnected(error) => Err(CommandError::NotConnected(error.clone())),
        }
    }

    /// Takes a connection down, unless it has been replaced already.
    fn give_up(&self, number: u64, error: ConnectionError) -> CommandError {
        let mut state = self.state();
        if matches!(&*state, State::Connected(current) if current.number == number) {
            *state = State::Disconnected(error.clone());
            self.lost.notify_one();
        }
        CommandError::ConnectionLost(error)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Redis for Connection {
    async fn get(&self, keys: &[String], limit: Duration) -> Result<Vec<Option<Vec<u8>>>, CommandError> {
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.get(key);
        }
        self.query(&pipeline, limit).await
    }

    async fn mget(&self, keys: &[&str], limit: Duration) -> Result<Vec<Option<Vec<u8>>>, CommandError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("MGET").arg(keys);
        let (values,) = self.query::<(Vec<Option<Vec<u8>>>,)>(&pipeline, limit).await?;
        Ok(values)
    }

    async fn set(&self, entries: &[SetEntry], limit: Duration) -> Result<(), CommandError> {
        self.query(&set_pipeline(entries), limit).await
    }

    async fn replace_or_delete(&self, entries: &[SetEntry], limit: Duration) -> Result<(), CommandError> {
        let connection = self.current()?;
        let Err(error) = connection.query::<()>(&set_pipeline(entries), limit).await else { return Ok(()) };
        if is_out_of_memory(&error) {
            let mut pipeline = redis::pipe();
            for entry in entries {
                pipeline.del(&entry.key).ignore();
            }
            let deleted = connection.query(&pipeline, limit).await;
            // Also if it was deleted: no value can be stored in this state.
            let error = self.failed(&connection, error, limit);
            return deleted.map_err(|_| error);
        }
        Err(self.failed(&connection, error, limit))
    }
}

fn is_out_of_memory(error: &QueryError) -> bool {
    matches!(error, QueryError::Redis(error) if ErrorReply::of(error).is_some_and(|reply| reply.is_out_of_memory()))
}

fn set_pipeline(entries: &[SetEntry]) -> Pipeline {
    let mut pipeline = redis::pipe();
    for SetEntry { key, value, ttl } in entries {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        pipeline.cmd("SET").arg(key).arg(value.as_slice()).arg("PX").arg(millis).ignore();
    }
    pipeline
}
