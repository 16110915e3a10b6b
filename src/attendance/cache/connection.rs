//! The one connection to Redis, shared by all requests.
//!
//! Policy: a request never waits for a connection to be made. Whoever finds the connection broken, or too slow,
//! takes it down for everybody; from then on there is none, at no cost, until the keeper has made a new one
//! that answers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, Pipeline, RedisError};
use tokio::sync::Notify;
use tokio::time::timeout;

/// A connection must be made, login included, within this time.
const CONNECTING: Duration = Duration::from_secs(1);

/// The connection, while there is one.
#[derive(Debug)]
pub(super) struct Link {
    client: redis::Client,
    state: Mutex<State>,
    broken: Notify,
}

#[derive(Debug)]
enum State {
    Up(Numbered),
    Down(String),
}

#[derive(Clone)]
struct Numbered {
    number: u64,
    connection: MultiplexedConnection,
}

impl std::fmt::Debug for Numbered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Numbered").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// There is no connection; the text says why.
    #[error("not connected: {0}")]
    Down(String),
    /// The connection was lost or did not answer in time; it has been given up.
    #[error("{0}")]
    Broken(String),
    /// Redis refused the command, or answered something else than was asked for.
    #[error("refused: {0}")]
    Refused(RedisError),
}

impl Link {
    /// A link that is down until [`Link::connect`].
    pub(super) fn new(client: redis::Client) -> Self {
        Self { client, state: Mutex::new(State::Down("not connected yet".to_owned())), broken: Notify::new() }
    }

    /// Runs a pipeline in one round trip, at most for `bound`.
    pub(super) async fn ask<T: FromRedisValue>(&self, pipeline: &Pipeline, bound: Duration) -> Result<T, Fault> {
        let Numbered { number, mut connection } = self.current()?;
        match timeout(bound, pipeline.query_async(&mut connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_unrecoverable_error() || error.is_io_error() => {
                Err(self.give_up(number, error.to_string()))
            }
            Ok(Err(error)) => Err(Fault::Refused(error)),
            Err(_) => Err(self.give_up(number, format!("no answer within {} ms", bound.as_millis()))),
        }
    }

    /// Makes a connection and sees that it takes the greeting within `bound`; it is in use from then on.
    pub(super) async fn connect(&self, number: u64, greeting: &Pipeline, bound: Duration) -> Result<(), String> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECTING)).set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let outcome = match timeout(CONNECTING, connecting).await {
            Ok(Ok(mut connection)) => match timeout(bound, greeting.query_async::<()>(&mut connection)).await {
                Ok(Ok(())) => Ok(connection),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {} ms", bound.as_millis())),
            },
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no connection within {} ms", CONNECTING.as_millis())),
        };
        let mut state = self.state();
        match outcome {
            Ok(connection) => {
                *state = State::Up(Numbered { number, connection });
                Ok(())
            }
            Err(reason) => {
                *state = State::Down(reason.clone());
                Err(reason)
            }
        }
    }

    /// Whether there is a connection.
    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.state(), State::Up(_))
    }

    /// Returns when the connection has been given up.
    pub(super) async fn broken(&self) {
        self.broken.notified().await;
    }

    fn current(&self) -> Result<Numbered, Fault> {
        match &*self.state() {
            State::Up(connection) => Ok(connection.clone()),
            State::Down(reason) => Err(Fault::Down(reason.clone())),
        }
    }

    /// Takes a connection down, unless somebody has already replaced it.
    fn give_up(&self, number: u64, reason: String) -> Fault {
        let mut state = self.state();
        if matches!(&*state, State::Up(current) if current.number == number) {
            *state = State::Down(reason.clone());
            self.broken.notify_one();
        }
        Fault::Broken(reason)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
