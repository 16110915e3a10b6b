//! `migrate`: the schema apart from serving.

use super::Error;
use super::backends::{DATABASE, postgres_options};
use crate::config::{Config, PostgresService};
use crate::database::{Database, migrations};
use crate::managed::lock::{self, DataDirLock};
use crate::managed::postgres::{Endpoint, ManagedPostgres};
use crate::telemetry::log::{Form, Logging};

/// `migrate`: what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migration {
    /// Run what is pending.
    Update,
    /// Say what is pending.
    Status,
}

/// Connects to PostgreSQL, started for it and stopped again where it is managed and not running; the report is for a person.
///
/// # Errors
/// When PostgreSQL cannot be reached or a migration fails.
pub async fn migrate(config: Config, migration: Migration) -> Result<String, Error> {
    // The report goes to standard output; the log has nothing to add to it but what is wrong.
    let _logging = Logging::start(Form::Text, tracing::Level::WARN)?;
    if let PostgresService::External(external) = &config.postgres.service {
        return work(&config, &Database::external(external)?, migration).await;
    }
    let _lock = match DataDirLock::acquire(&config.data_dir) {
        Ok(lock) => lock,
        Err(held @ lock::Error::Held { .. }) => {
            // An appliance runs: its PostgreSQL is used, and stays.
            let endpoint = Endpoint::of_running(&config.data_dir, DATABASE).ok_or(held)?;
            return work(&config, &Database::managed(&endpoint)?, migration).await;
        }
        Err(error) => return Err(error.into()),
    };
    let options = postgres_options(&config).ok_or(Error::NoBackend("PostgreSQL"))?;
    let postgres = ManagedPostgres::start(options).await?;
    let outcome = match Database::managed(postgres.endpoint()) {
        Ok(database) => work(&config, &database, migration).await,
        Err(error) => Err(error.into()),
    };
    postgres.stop().await;
    outcome
}

async fn work(config: &Config, database: &Database, migration: Migration) -> Result<String, Error> {
    let patience = config.postgres.connect_timeout;
    Ok(match migration {
        Migration::Update => migrations::run(database, patience).await?.to_string(),
        Migration::Status => migrations::status(database, patience).await?,
    })
}
