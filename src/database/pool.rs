//! Database connections, shared among requests.
//!
//! Policy: a request has one deadline, which covers the wait for a connection and the statement. A connection is lent
//! ([`Lease`]) and goes back when its statement has ended. If a connection cannot be made while other requests have connections, or
//! are making them, the request waits for one of those (`capacity.rs`). Which errors permit a second attempt is stated by
//! [`QueryError::is_retryable`].

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use deadpool_postgres::{HookError, Object, Pool, PoolError};
use prometheus::{Histogram, IntGauge};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;

use super::Connector;
use super::capacity::Capacity;
use super::lease::{GaugeGuard, Lease};
use super::query_error::QueryError;

/// How long a further connection may take before its request waits for one that there is; at most half of the request's time. A pooler in session
/// mode that has no session left answers nothing.
const FURTHER_CONNECTION_TIMEOUT: Duration = Duration::from_millis(800);

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
    capacity: Capacity,
    connector: Connector,
    shares_sessions: AtomicBool,
    statement_name: Option<String>,
    request_timeout: Duration,
    metrics: PoolMetrics,
}

impl ConnectionPool {
    /// `statement_name` is the `application_name` for writes if sessions are shared. `request_timeout` bounds the wait for a connection and for
    /// the result of a statement.
    pub(super) fn new(
        pool: Pool,
        connector: Connector,
        statement_name: Option<String>,
        request_timeout: Duration,
        metrics: PoolMetrics,
    ) -> Self {
        let max_size = pool.status().max_size;
        metrics.size.set(i64::try_from(max_size).unwrap_or(i64::MAX));
        let shares_sessions = AtomicBool::new(statement_name.is_some());
        let capacity = Capacity::new(max_size);
        Self { pool, capacity, connector, shares_sessions, statement_name, request_timeout, metrics }
    }

    /// The most connections there can be at one time.
    pub fn max_size(&self) -> usize {
        self.pool.status().max_size
    }

    /// The `application_name` that a write has to set for its own transaction, because its session is shared.
    pub fn statement_name(&self) -> Option<&str> {
        self.statement_name.as_deref()
    }

    /// The most connections that can be in use at present: a server or a pooler may allow fewer than configured.
    pub fn capacity(&self) -> usize {
        self.capacity.now()
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
        let client = self.client(deadline).await;
        drop(waiting);
        self.metrics.wait.observe(started.elapsed().as_secs_f64());
        let (client, permit) = client?;
        let Self { pool, connector, shares_sessions, .. } = self;
        Ok(Lease::new(client, permit, pool, connector, shares_sessions, &self.metrics.in_use))
    }

    async fn client(&self, deadline: Instant) -> Result<(Object, OwnedSemaphorePermit), QueryError> {
        loop {
            let permit = match timeout_at(deadline, self.capacity.acquire()).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) => return Err(QueryError::pool(PoolError::Closed)),
                Err(_) => return Err(QueryError::ConnectionTimeout),
            };
            let short_deadline =
                deadline.min(Instant::now() + FURTHER_CONNECTION_TIMEOUT.min(self.request_timeout / 2));
            let limit = if self.has_connections() { short_deadline } else { deadline };
            let error = match timeout_at(limit, self.pool.get()).await {
                Ok(Ok(client)) => {
                    if Object::metrics(&client).recycle_count == 0 {
                        self.capacity.connection_made(Instant::now());
                    }
                    return Ok((client, permit));
                }
                Ok(Err(PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)))) => {
                    let is_full = is_full(&error);
                    let error = QueryError::connect(error);
                    if !is_full {
                        return Err(error);
                    }
                    error
                }
                Ok(Err(error)) => return Err(QueryError::pool(error)),
                Err(_) => QueryError::ConnectionTimeout,
            };
            let now = Instant::now();
            // If this is not the last permit, another request has a connection or is making one, and this request waits for that one.
            if now >= deadline || self.capacity.shrink(permit, now).is_err() {
                return Err(error);
            }
        }
    }

    /// Whether there are connections, in use or idle.
    fn has_connections(&self) -> bool {
        self.metrics.in_use.get() > 0 || self.pool.status().available > 0
    }

    /// Closes all connections; later leases fail.
    pub fn close(&self) {
        self.capacity.close();
        self.pool.close();
    }
}

/// Whether the server or a pooler has refused a connection because there are too many.
fn is_full(error: &tokio_postgres::Error) -> bool {
    let Some(error) = error.as_db_error() else { return false };
    // PgBouncer has one code for all its errors.
    *error.code() == SqlState::TOO_MANY_CONNECTIONS || error.message().starts_with("no more connections allowed")
}
