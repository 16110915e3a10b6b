//! Statements on the tables of access control.
//!
//! Policy: a read is repeated once if its connection turns out to have been closed; a change never is. Whatever changes more than one row is one transaction, which is
//! rolled back if the change is refused. Every wait ends with the request's deadline.

use std::sync::Arc;

use prometheus::Histogram;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::Error;
use crate::database::{ConnectionPool, Lease, Parameter, QueryError};

/// The tables, in the database of the records.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pool: Arc<ConnectionPool>,
    duration: Histogram,
}

/// Why a transaction does not end with its commit.
#[derive(Debug)]
pub(super) enum Abort {
    /// The change is refused.
    Refused(Error),
    /// A statement failed.
    Failed(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Abort {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for Abort {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Store {
    /// `duration` has the seconds of each statement or transaction.
    pub(super) fn new(pool: Arc<ConnectionPool>, duration: Histogram) -> Self {
        Self { pool, duration }
    }

    /// The time by which a request that begins now must have its result.
    pub(super) fn deadline(&self) -> Instant {
        self.pool.deadline()
    }

    /// A connection for a transaction, which ends with [`Store::finish`].
    pub(super) async fn lease(&self, deadline: Instant) -> Result<Lease<'_>, Error> {
        Ok(self.pool.lease(deadline).await?)
    }

    /// Ends the lease of a transaction. A refused change is rolled back.
    pub(super) async fn finish<T>(
        &self,
        mut lease: Lease<'_>,
        deadline: Instant,
        outcome: Result<Result<T, Abort>, Elapsed>,
    ) -> Result<T, Error> {
        let outcome = match outcome {
            Ok(Ok(value)) => Ok(Ok(value)),
            Ok(Err(Abort::Refused(error))) => {
                let rolled_back = timeout_at(deadline, lease.roll_back()).await;
                lease.finish(rolled_back)?;
                return Err(error);
            }
            Ok(Err(Abort::Failed(error))) => Ok(Err(error)),
            Err(elapsed) => Err(elapsed),
        };
        Ok(lease.finish(outcome)?)
    }

    /// Runs a statement that reads, a second time if the connection turns out to have been closed.
    pub(super) async fn read(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, QueryError> {
        let deadline = self.deadline();
        match self.run(sql, parameters, deadline).await {
            Err(error) if error.is_retryable() => self.run(sql, parameters, deadline).await,
            outcome => outcome,
        }
    }

    /// Runs a statement that changes something.
    pub(super) async fn change(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, QueryError> {
        self.run(sql, parameters, self.deadline()).await
    }

    /// Runs a statement once.
    pub(super) async fn run(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        deadline: Instant,
    ) -> Result<Vec<Row>, QueryError> {
        let lease = self.pool.lease(deadline).await?;
        let _timer = self.duration.start_timer();
        let outcome = timeout_at(deadline, lease.query(sql, parameters)).await;
        lease.finish(outcome)
    }
}

/// The first column of each row: the keys of credentials.
pub(super) fn keys(rows: &[Row]) -> Result<Vec<String>, tokio_postgres::Error> {
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// A text as a parameter.
pub(super) fn text(value: &(impl tokio_postgres::types::ToSql + Sync)) -> Parameter<'_> {
    (value, Type::TEXT)
}

/// Texts as a parameter.
pub(super) fn texts(value: &(impl tokio_postgres::types::ToSql + Sync)) -> Parameter<'_> {
    (value, Type::TEXT_ARRAY)
}

/// A number as a parameter.
pub(super) fn number(value: &(impl tokio_postgres::types::ToSql + Sync)) -> Parameter<'_> {
    (value, Type::INT8)
}

/// A truth value as a parameter.
pub(super) fn truth(value: &(impl tokio_postgres::types::ToSql + Sync)) -> Parameter<'_> {
    (value, Type::BOOL)
}

/// A number of seconds as a parameter.
pub(super) fn seconds(value: &(impl tokio_postgres::types::ToSql + Sync)) -> Parameter<'_> {
    (value, Type::FLOAT8)
}
