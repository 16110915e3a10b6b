//! Access to the database without serving, for `migrate`.

use super::Error;
use super::backends::{DATABASE, postgres_options};
use crate::config::{Config, PostgresService};
use crate::database::Database;
use crate::managed::lock::{self, DataDirLock};
use crate::managed::postgres::{Endpoints, ManagedPostgres};

/// Runs `work` on the configured database. A managed PostgreSQL that does not run is started for it and stopped afterwards; `work` has the
/// role that owns the database.
///
/// # Errors
/// When PostgreSQL cannot be reached or started, and the errors of `work`.
pub async fn with_database<T, E, W>(config: &Config, work: W) -> Result<T, E>
where
    E: From<Error>,
    W: AsyncFnOnce(Database) -> Result<T, E>,
{
    if let PostgresService::External(external) = &config.postgres.service {
        return work(Database::external(external).map_err(Error::from)?).await;
    }
    let _lock = match DataDirLock::acquire(&config.data_dir) {
        Ok(lock) => lock,
        Err(held @ lock::Error::Held { .. }) => {
            // A running appliance holds the lock: its PostgreSQL is used and keeps running.
            let endpoints = Endpoints::of_running(&config.data_dir, DATABASE).ok_or(Error::from(held))?;
            return on_managed(&endpoints, work).await;
        }
        Err(error) => return Err(Error::from(error).into()),
    };
    let options = postgres_options(config).ok_or(Error::NoBackend("PostgreSQL"))?;
    let postgres = ManagedPostgres::start(options).await.map_err(Error::from)?;
    let outcome = on_managed(postgres.endpoints(), work).await;
    postgres.stop().await;
    outcome
}

async fn on_managed<T, E, W>(endpoints: &Endpoints, work: W) -> Result<T, E>
where
    E: From<Error>,
    W: AsyncFnOnce(Database) -> Result<T, E>,
{
    let outcome = work(endpoints.owner.database().map_err(Error::from)?).await?;
    // It may have made the table of the requests.
    endpoints.grant_requests().await.map_err(Error::from)?;
    Ok(outcome)
}
