//! Database connections, shared among requests.
//!
//! Policy: a request has one deadline, which covers the wait for a connection and the statement. A connection is lent
//! ([`Lease`]) and goes back when its statement has ended. If the deadline passes or the request is dropped before that, the
//! connection is closed together with whatever it was doing: the next borrower would otherwise wait for the end of a statement
//! whose result has no reader. Which errors permit a second attempt is stated by [`QueryError::is_retryable`].

use std::ops::Deref;
use std::time::Duration;

use deadpool_postgres::{HookError, Object, Pool, PoolError};
use prometheus::{Histogram, IntGauge};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::query_error::QueryError;

/// Where the use of a pool is counted.
#[derive(Debug, Clone)]
pub struct PoolMetrics {
    /// Connections the pool may hold.
    pub size: IntGauge,
    /// Connections lent.
    pub in_use: IntGauge,
    /// Requests that wait for a connection.
    pub waiters: IntGauge,
    /// Seconds a request waited for a connection.
    pub wait: Histogram,
}

/// A pool whose users have a deadline.
#[derive(Debug)]
pub struct ConnectionPool {
    pool: Pool,
    request_timeout: Duration,
    metrics: PoolMetrics,
}

/// A lent connection. [`Lease::finish`] gives it back; a lease that is dropped without it closes the connection.
pub struct Lease<'a> {
    /// `Some` until the lease ends.
    client: Option<Object>,
    pool: &'a Pool,
    _in_use: GaugeGuard<'a>,
}

impl ConnectionPool {
    /// `request_timeout` bounds the wait for a connection and for the result of a statement.
    pub(super) fn new(pool: Pool, request_timeout: Duration, metrics: PoolMetrics) -> Self {
        metrics.size.set(i64::try_from(pool.status().max_size).unwrap_or(i64::MAX));
        Self { pool, request_timeout, metrics }
    }

    /// The most connections there can be at one time.
    pub fn max_size(&self) -> usize {
        self.pool.status().max_size
    }

    /// The time by which a request that begins now must have its result.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.request_timeout
    }

    /// The time one request has.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Borrows a connection, which is made if none is idle and the pool is not full.
    ///
    /// # Errors
    /// When there is none by the deadline. Such an error is never retryable: the deadline has been used up by waiting.
    pub async fn lease(&self, deadline: Instant) -> Result<Lease<'_>, QueryError> {
        let started = Instant::now();
        let waiting = GaugeGuard::increment(&self.metrics.waiters);
        let client = timeout_at(deadline, self.pool.get()).await;
        drop(waiting);
        self.metrics.wait.observe(started.elapsed().as_secs_f64());
        match client {
            Ok(Ok(client)) => {
                let in_use = GaugeGuard::increment(&self.metrics.in_use);
                Ok(Lease { client: Some(client), pool: &self.pool, _in_use: in_use })
            }
            Ok(Err(PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)))) => {
                Err(QueryError::connect(error))
            }
            Ok(Err(error)) => Err(QueryError::pool(error)),
            Err(_) => Err(QueryError::ConnectionTimeout),
        }
    }

    /// Closes all connections; later leases fail.
    pub fn close(&self) {
        self.pool.close();
    }
}

impl Lease<'_> {
    /// Ends the lease with the outcome of its statement. A connection whose statement did not end in time is closed, not returned.
    ///
    /// # Errors
    /// When the statement failed or did not end in time.
    pub fn finish<T>(mut self, outcome: Result<Result<T, tokio_postgres::Error>, Elapsed>) -> Result<T, QueryError> {
        let Ok(outcome) = outcome else { return Err(QueryError::StatementTimeout) };
        let outcome = outcome.map_err(QueryError::statement);
        if outcome.as_ref().is_err_and(QueryError::is_outdated_statement) {
            // Every connection has prepared these statements.
            self.pool.manager().statement_caches.clear();
        }
        drop(self.client.take());
        outcome
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
        self.client.as_ref().expect("a lease has its connection until `finish`, which consumes it")
    }
}

/// Increments a gauge for as long as it lives.
struct GaugeGuard<'a>(&'a IntGauge);

impl<'a> GaugeGuard<'a> {
    fn increment(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for GaugeGuard<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
