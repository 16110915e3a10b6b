//! `migrate`: the schema apart from serving.

use super::backends::postgres_options;
use super::{Error, Options};
use crate::config::{Config, PostgresService};
use crate::database::{Database, migrations};
use crate::managed::lock::{self, DataDirLock};
use crate::managed::postgres::{self, ManagedPostgres};
use crate::telemetry::log::{Form, Logging};

/// `migrate`: what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migration {
    /// Run what is pending.
    Update,
    /// Say what is pending.
    Status,
}

/// Starts PostgreSQL alone (or connects to it), migrates or looks, and stops it; the report is for a person.
///
/// # Errors
/// When PostgreSQL cannot be reached or a migration fails.
pub async fn migrate(config: Config, migration: Migration) -> Result<String, Error> {
    let _logging = Logging::start(Form::Text, tracing::Level::WARN)?;
    let patience = config.postgres.connect_timeout;
    match &config.postgres.service {
        PostgresService::External(external) => work(&Database::external(external)?, migration, patience).await,
        PostgresService::Managed { .. } => on_managed(&config, migration).await,
    }
}
