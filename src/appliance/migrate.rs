//! Access to the database without serving, for `migrate`.

use super::Error;
use super::backends::{DATABASE, postgres_options};
use crate::config::{Config, PostgresService};
use crate::database::Database;
use crate::managed::lock::{self, DataDirLock};
use crate::managed::postgres::{Endpoint, ManagedPostgres};

/// Runs `work` on the configured database. A managed PostgreSQL that does not run is started for it and stopped afterwards.
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
            let endpoint = Endpoint::of_running(&config.data_dir, DATABASE).ok_or(Error::from(held))?;
            return work(endpoint.database().map_err(Error::from)?).await;
        }
        Err(error) => return Err(Error::from(error).into()),
    };
    let options = postgres_options(config).ok_or(Error::NoBackend("PostgreSQL"))?;
    let postgres = ManagedPostgres::start(options).await.map_err(Error::from)?;
    let outcome = match postgres.endpoint().database() {
        Ok(database) => work(database).await,
        Err(error) => Err(Error::from(error).into()),
    };
    postgres.stop().await;
    outcome
}
