//! Accounts and tokens without a login, for commands on the machine.
//!
//! Policy: a user who can read the data directory or the configuration can change everything in the database anyway, so these commands ask for no
//! credentials. If an appliance runs, they use its database; otherwise they start the managed PostgreSQL. Triggers announce each change to every instance, and
//! the appliance that runs on the data directory has ended the credentials before the command returns.

use std::sync::Arc;

use super::migrate::with_database;
use super::{Error, VERSION};
use crate::access::{self, Access, AccessTables};
use crate::config::Config;
use crate::database::migrations::{self, LoadedChangelog, TableSettings};
use crate::database::{Database, PoolMetrics};
use crate::operate::control::ControlClient;
use crate::operate::layout::Layout;
use crate::telemetry::metrics::Metrics;

/// Connections of a command.
const MAX_CONNECTIONS: usize = 1;
/// The `application_name` of its sessions. It is not that of the sessions of requests, whose changes the triggers do not announce.
const SESSION_NAME: &str = "attendance-api-command";

/// Runs `work` with the accounts of the configured database. Its tables are made if they are missing.
///
/// # Errors
/// When PostgreSQL cannot be reached or started, and the errors of `work`.
pub async fn with_access<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Access) -> Result<T, access::Error>,
) -> Result<T, Error> {
    with_database(config, async |database: Database| {
        prepare(config, &database).await?;
        let metrics = Metrics::new(VERSION, "none")?;
        let pool_metrics = PoolMetrics {
            size: metrics.pool_size.clone(),
            in_use: metrics.pool_in_use.clone(),
            waiters: metrics.pool_waiters.clone(),
            wait: metrics.pool_wait.clone(),
        };
        let timeout = config.postgres.connect_timeout;
        let pool = Arc::new(database.pool(MAX_CONNECTIONS, timeout, SESSION_NAME, pool_metrics)?);
        let tables = AccessTables::open(Arc::clone(&pool), &metrics).await?;
        let access = Access::of_command(tables, &config.auth, &metrics);
        let outcome = work(&access).await;
        pool.close();
        end_in_appliance(config, access.ended_credentials()).await;
        Ok(outcome?)
    })
    .await
}

/// Lets an appliance that runs on the data directory end credentials before the command returns. Others receive what the triggers announce.
async fn end_in_appliance(config: &Config, keys: Vec<String>) {
    if keys.is_empty() {
        return;
    }
    let layout = Layout::new(&config.data_dir);
    let ending = move || ControlClient::connect(&layout).map(|client| client.end_credentials(keys));
    if let Ok(Some(Err(error))) = tokio::task::spawn_blocking(ending).await {
        tracing::warn!(%error, "the appliance that runs here has not confirmed the change; it receives it within two seconds");
    }
}

/// Brings the schema up to date, unless it has the tables: an appliance may be running on it.
async fn prepare(config: &Config, database: &Database) -> Result<(), Error> {
    let timeout = config.postgres.connect_timeout;
    if migrations::has_access_tables(database, timeout).await? {
        return Ok(());
    }
    let settings =
        TableSettings { is_watched: config.postgres.watch_foreign_writes, is_strict: config.employees.strict };
    let changelog = LoadedChangelog::load(&config.migrations)?;
    migrations::run(database, &changelog, timeout, Some(settings)).await?;
    Ok(())
}
