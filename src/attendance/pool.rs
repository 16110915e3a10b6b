//! Database connections, shared among requests.
//!
//! Policy: every request has one deadline for getting a connection and its answer; a connection that missed it, or
//! whose request was given up, is thrown away with whatever it was doing. A read is tried once more when its connection
//! turns out to have been closed, as after a restart of the server, or when the table was altered under its prepared
//! statement; a write never is, since nobody knows how far it came.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{HookError, Object, Pool, PoolError};
use prometheus::IntGauge;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;

use super::service::Error;
use crate::telemetry::metrics::Metrics;

/// The pool, its deadline and its metrics.
#[derive(Debug)]
pub(super) struct Connections {
    pool: Pool,
    request_timeout: Duration,
    metrics: Arc<Metrics>,
}

/// A connection on loan. It goes back when its statement has ended ([`Lease::settle`]); dropped before that, it is
/// closed: whoever got it next would wait for the end of a statement that nobody wants.
pub(super) struct Lease<'a> {
    /// There until the loan ends.
    client: Option<Object>,
    pool: &'a Pool,
    _in_use: Count<'a>,
}

/// Why a statement did not answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection was closed under it, or forgot or outdated its prepared statements: a read may be tried again.
    Closed(Error),
    /// Anything else.
    Final(Error),
}

impl Connections {
    /// `request_timeout` is one request's time for a connection and its answer.
    pub(super) fn new(pool: Pool, request_timeout: Duration, metrics: Arc<Metrics>) -> Self {
        metrics.pool_size.set(i64::try_from(pool.status().max_size).unwrap_or(i64::MAX));
        Self { pool, request_timeout, metrics }
    }

    /// When a request that begins now must have its answer.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.request_timeout
    }

    /// One request's time.
    pub(super) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// A connection, or why there is none by the deadline.
    pub(super) async fn lease(&self, deadline: Instant) -> Result<Lease<'_>, Failure> {
        let started = Instant::now();
        let waiting = Count::up(&self.metrics.pool_waiters);
        let client = timeout_at(deadline, self.pool.get()).await;
        drop(waiting);
        self.metrics.pool_wait.observe(started.elapsed().as_secs_f64());
        let reason = match client {
            Ok(Ok(client)) => {
                let in_use = Count::up(&self.metrics.pool_in_use);
                return Ok(Lease { client: Some(client), pool: &self.pool, _in_use: in_use });
            }
            Ok(Err(PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)))) => text(&error),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no connection in time".to_owned(),
        };
        Err(Failure::Final(Error::Unavailable(reason)))
    }

    /// Closes all connections; later leases fail.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}

impl Lease<'_> {
    /// Ends the loan with what came of the statement. A connection whose statement did not end is closed, not returned.
    pub(super) fn settle<T>(
        mut self,
        outcome: Result<Result<T, tokio_postgres::Error>, Elapsed>,
    ) -> Result<T, Failure> {
        let Ok(outcome) = outcome else {
            return Err(Failure::Final(Error::Unavailable("no answer in time".to_owned())));
        };
        if outcome.as_ref().is_err_and(is_outdated) {
            // Every connection has prepared the same statements.
            self.pool.manager().statement_caches.clear();
        }
        drop(self.client.take());
        outcome.map_err(|error| classify(&error))
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

impl Deref for Lease<'_> {
    type Target = Object;

    fn deref(&self) -> &Object {
        self.client.as_ref().expect("a lease has its connection until it is settled, which consumes it")
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Closed(error) | Failure::Final(error) => error,
        }
    }
}

/// What a client can be told of an error: try again (503), or that it is ours (500).
fn classify(error: &tokio_postgres::Error) -> Failure {
    let Some(state) = error.code() else {
        let reason = Error::Unavailable(text(error));
        return if error.is_closed() || is_io(error) {
            Failure::Closed(reason)
        } else {
            Failure::Final(Error::Refused(text(error)))
        };
    };
    match *state {
        _ if is_outdated(error) => Failure::Closed(Error::Unavailable(text(error))),
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => Failure::Closed(Error::Unavailable(text(error))),
        SqlState::CANNOT_CONNECT_NOW
        | SqlState::READ_ONLY_SQL_TRANSACTION
        | SqlState::QUERY_CANCELED
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::LOCK_NOT_AVAILABLE => Failure::Final(Error::Unavailable(text(error))),
        // Class 08: connection; 53: out of resources, a full disk among them; 58: I/O error.
        _ if ["08", "53", "58"].iter().any(|class| state.code().starts_with(class)) => {
            Failure::Final(Error::Unavailable(text(error)))
        }
        // Class 23: a constraint that is not ours, since our own key is a conflict.
        _ if state.code().starts_with("23") => Failure::Final(Error::Forbidden(text(error))),
        _ => Failure::Final(Error::Refused(text(error))),
    }
}

/// Whether a prepared statement has outlived what it was prepared for: a column's type was altered ("cached plan must
/// not change result type"), or the session it belonged to was exchanged by a proxy.
fn is_outdated(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|state| [SqlState::FEATURE_NOT_SUPPORTED, SqlState::INVALID_SQL_STATEMENT_NAME].contains(state))
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}

/// The error with its causes, on one line. Of the server's words only the message: its details quote the row.
fn text(error: &tokio_postgres::Error) -> String {
    if let Some(theirs) = error.as_db_error() {
        return format!("{} {}: {}", theirs.severity(), theirs.code().code(), theirs.message());
    }
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// One up now, one down when dropped.
struct Count<'a>(&'a IntGauge);

impl<'a> Count<'a> {
    fn up(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
