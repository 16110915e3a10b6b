//! Access to the database without serving, for `migrate`.

use std::path::Path;

use super::backends::{DATABASE, postgres_options};
use super::{Error, lock_data_dir_always};
use crate::config::{Config, PostgresService};
use crate::database::Database;
use crate::managed::lock;
use crate::managed::postgres::{Endpoints, ManagedPostgres};

/// Where a clone of the project has its data (`make run`).
const DATA_DIR_OF_A_CLONE: &str = ".data";

/// Checks that there is a database, for a command that only reads: it must not make one.
///
/// # Errors
/// When PostgreSQL is managed and has no cluster in the data directory.
pub fn require_database(config: &Config) -> Result<(), Error> {
    let is_external = matches!(config.postgres.service, PostgresService::External(_));
    if is_external || has_cluster(&config.data_dir) {
        return Ok(());
    }
    let elsewhere = std::path::absolute(DATA_DIR_OF_A_CLONE).ok().filter(|path| has_cluster(path));
    Err(Error::NoDatabase { data_dir: config.data_dir.clone(), elsewhere })
}

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
    let _lock = match lock_data_dir_always(config).await {
        Ok(lock) => lock,
        Err(Error::Lock(held @ lock::Error::Held { .. })) => {
            // A running appliance holds the lock: its PostgreSQL is used and keeps running.
            let endpoints = Endpoints::of_running(&config.data_dir, DATABASE).ok_or(Error::from(held))?;
            return on_managed(&endpoints, work).await;
        }
        Err(error) => return Err(error.into()),
    };
    let options = postgres_options(config).ok_or(Error::NoBackend("PostgreSQL"))?;
    let postgres = ManagedPostgres::start(options).await.map_err(Error::from)?;
    let outcome = on_managed(postgres.endpoints(), work).await;
    postgres.stop().await;
    outcome
}

/// Whether an appliance has made a PostgreSQL cluster in this data directory.
fn has_cluster(data_dir: &Path) -> bool {
    let Ok(clusters) = std::fs::read_dir(data_dir.join("postgres")) else { return false };
    clusters.flatten().any(|cluster| cluster.path().join("PG_VERSION").exists())
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
