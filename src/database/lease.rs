//! A lent connection, and the statements that are run on it.
//!
//! Policy: a connection goes back when its statement has ended. If the deadline passes or the request is dropped before that, the
//! connection is closed together with whatever it was doing: the next borrower would otherwise wait for the end of a statement
//! whose result has no reader. The server does not notice that before the statement has a result; so a statement that may take long
//! ([`Lease::cancel_on_drop`]) gets a moment to end, and is cancelled otherwise.
//!
//! Statements are prepared once for each connection. Through a pooler in transaction mode they have no name and take one round trip instead:
//! a name belongs to a session, which may be another one for each statement, where that name is missing or is another program's.
//! There is no time-out in the session either, so that every statement without a reader is cancelled.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use futures_util::TryStreamExt as _;
use prometheus::IntGauge;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, RowStream};

use super::Connector;
use super::query_error::QueryError;

/// How long a statement without a reader may go on before it is cancelled. Most end sooner, and their connection can be used again.
const CANCEL_GRACE: Duration = Duration::from_millis(50);
/// How long the cancellation of a statement may take. After that, its connection is closed without it.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// The value of a parameter, and its type for a statement that is not prepared. The server infers [`Type::UNKNOWN`] from the statement.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A lent connection. [`Lease::finish`] gives it back; a lease that is dropped without it closes the connection.
pub struct Lease<'a> {
    /// `Some` until the lease ends.
    client: Option<Object>,
    pool: &'a Pool,
    connector: &'a Connector,
    /// Whether sessions are shared. It becomes true when a statement finds out.
    shares_sessions: &'a AtomicBool,
    /// Returned when the connection is free again.
    use_permit: Option<OwnedSemaphorePermit>,
    /// Whether a transaction has begun that has not been committed.
    is_in_transaction: bool,
    /// If the statement is to be cancelled: a permit that is kept until that is done.
    cancel_permit: Option<OwnedSemaphorePermit>,
    _in_use: GaugeGuard<'a>,
}

impl<'a> Lease<'a> {
    pub(super) fn new(
        client: Object,
        use_permit: OwnedSemaphorePermit,
        pool: &'a Pool,
        connector: &'a Connector,
        shares_sessions: &'a AtomicBool,
        in_use: &'a IntGauge,
    ) -> Self {
        Self {
            client: Some(client),
            pool,
            connector,
            shares_sessions,
            use_permit: Some(use_permit),
            is_in_transaction: false,
            cancel_permit: None,
            _in_use: GaugeGuard::increment(in_use),
        }
    }

    fn client(&self) -> &Object {
        self.client.as_ref().expect("a lease has its connection until `finish`, which consumes it")
    }

    fn shares_sessions(&self) -> bool {
        self.shares_sessions.load(Relaxed)
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    /// When it fails.
    pub async fn query(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.query_raw(sql, parameters).await?.try_collect().await
    }

    /// Runs a statement and returns its rows as they arrive.
    ///
    /// # Errors
    /// When it fails.
    #[expect(
        clippy::disallowed_methods,
        reason = "the statement is prepared once for the connection, whose session is not shared"
    )]
    pub async fn query_raw(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<RowStream, tokio_postgres::Error> {
        let client = self.client();
        if self.shares_sessions() {
            return client.query_typed_raw(sql, parameters.iter().map(|(value, kind)| (*value, kind.clone()))).await;
        }
        let statement = client.prepare_cached(sql).await?;
        client.query_raw(&statement, parameters.iter().map(|(value, _)| *value)).await
    }

    /// Runs a statement and returns the number of rows that it changed.
    ///
    /// # Errors
    /// When it fails.
    #[expect(
        clippy::disallowed_methods,
        reason = "the statement is prepared once for the connection, whose session is not shared"
    )]
    pub async fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64, tokio_postgres::Error> {
        let client = self.client();
        if self.shares_sessions() {
            return client.execute_typed(sql, parameters).await;
        }
        let statement = client.prepare_cached(sql).await?;
        client.execute_raw(&statement, parameters.iter().map(|(value, _)| *value)).await
    }

    /// Runs a statement that is planned for these values each time, and returns its rows as they arrive. It takes one round trip more than a
    /// prepared one, and its text may be different each time.
    ///
    /// # Errors
    /// When it fails.
    pub async fn query_unprepared(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<RowStream, tokio_postgres::Error> {
        self.client().query_typed_raw(sql, parameters.iter().map(|(value, kind)| (*value, kind.clone()))).await
    }

    /// Begins a transaction. Unless it is committed, the connection is closed when the lease ends, which rolls it back.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn begin(&mut self) -> Result<(), tokio_postgres::Error> {
        self.is_in_transaction = true;
        self.client().batch_execute("BEGIN").await
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// When the statement fails. It is unknown then whether the transaction was committed.
    pub async fn commit(&mut self) -> Result<(), tokio_postgres::Error> {
        self.client().batch_execute("COMMIT").await?;
        self.is_in_transaction = false;
        Ok(())
    }

    /// Rolls the transaction back, so that the connection can be used again.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn roll_back(&mut self) -> Result<(), tokio_postgres::Error> {
        self.client().batch_execute("ROLLBACK").await?;
        self.is_in_transaction = false;
        Ok(())
    }

    /// Runs an empty statement.
    ///
    /// # Errors
    /// When it fails.
    pub async fn ping(&self) -> Result<(), tokio_postgres::Error> {
        self.client().batch_execute("").await
    }

    /// Lets the server cancel the statement if the lease is dropped before the statement has ended. The permit, which bounds the number of such
    /// statements, is kept until the lease or the cancellation has ended.
    pub fn cancel_on_drop(&mut self, permit: OwnedSemaphorePermit) {
        self.cancel_permit = Some(permit);
    }

    /// Ends the lease with the outcome of its statement. A connection whose statement did not end in time is closed, not returned.
    ///
    /// # Errors
    /// When the statement failed or did not end in time.
    pub fn finish<T>(mut self, outcome: Result<Result<T, tokio_postgres::Error>, Elapsed>) -> Result<T, QueryError> {
        let Ok(outcome) = outcome else { return Err(QueryError::StatementTimeout) };
        let outcome = outcome.map_err(QueryError::statement);
        if let Err(error) = &outcome {
            if error.is_outdated_statement() {
                // Every connection has prepared these statements.
                self.pool.manager().statement_caches.clear();
            }
            if error.is_of_shared_session() && !self.shares_sessions.swap(true, Relaxed) {
                tracing::warn!(
                    reason = %error,
                    "sessions are shared by a pooler in transaction mode: statements are no longer prepared; \
                     set postgres.pooler: transaction, so that none is from the start"
                );
            }
        }
        if !self.is_in_transaction {
            drop(self.client.take());
        }
        outcome
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        let is_cancelled = self.cancel_permit.is_some() || self.shares_sessions();
        match Handle::try_current() {
            // A transaction must not stay open behind the next borrower.
            Ok(runtime) if is_cancelled && !self.is_in_transaction => {
                let permits = (self.cancel_permit.take(), self.use_permit.take());
                let connector = self.connector.clone();
                runtime.spawn(async move {
                    end_statement(client, &connector).await;
                    drop(permits);
                });
            }
            _ => drop(Object::take(client)),
        }
    }
}

/// Ends the statement of a connection whose reader has gone, and gives the connection back or closes it.
async fn end_statement(client: Object, connector: &Connector) {
    if !ends_soon(&client, connector).await {
        drop(Object::take(client));
    }
}

/// Whether a statement ends by itself, so that its connection can be used again. Any other is cancelled; its connection must not be used for another
/// statement, because the cancellation might arrive late and end that one.
async fn ends_soon(client: &Object, connector: &Connector) -> bool {
    // An empty query is answered when the statement before it has ended.
    let mut ended = pin!(client.batch_execute(""));
    if let Ok(outcome) = timeout(CANCEL_GRACE, &mut ended).await {
        return outcome.is_ok();
    }
    let cancelling = async {
        match connector.cancel(&client.cancel_token()).await {
            // Otherwise the server would log that it cannot report the cancellation.
            Ok(()) => drop(ended.await),
            Err(error) => tracing::debug!(%error, "a statement could not be cancelled"),
        }
    };
    if timeout(CANCEL_TIMEOUT, cancelling).await.is_err() {
        tracing::debug!("a statement could not be cancelled in time");
    }
    false
}

/// Increments a gauge until it is dropped.
pub(super) struct GaugeGuard<'a>(&'a IntGauge);

impl<'a> GaugeGuard<'a> {
    pub(super) fn increment(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for GaugeGuard<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
