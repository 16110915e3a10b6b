//! What can go wrong on the way to a usable database, and what to do about it.

use std::time::Duration;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not come up.
    #[error(
        "PostgreSQL at {address} was not reachable within {} s: {reason}. Start it, correct postgres.host and \
         postgres.port, or allow more time with postgres.connect_timeout",
        waited.as_secs()
    )]
    Unreachable {
        /// Where.
        address: String,
        /// For how long.
        waited: Duration,
        /// The last attempt's error.
        reason: String,
    },
    /// It does not let us in.
    #[error(
        "PostgreSQL at {address} refused user `{user}`: {reason}. Correct postgres.user and postgres.password, or \
         allow this host in the server's pg_hba.conf"
    )]
    Refused {
        /// Where.
        address: String,
        /// Who.
        user: String,
        /// Its words.
        reason: String,
    },
    /// It has no such database.
    #[error("PostgreSQL at {address} has no such database: {reason}. Create it or correct postgres.database")]
    NoDatabase {
        /// Where.
        address: String,
        /// Its words.
        reason: String,
    },
    /// It is too old.
    #[error(
        "PostgreSQL at {address} is version {version}; {oldest} or newer is needed. Upgrade the server or use another"
    )]
    TooOld {
        /// Where.
        address: String,
        /// What it is.
        version: String,
        /// What it should be.
        oldest: u32,
    },
    /// Certificates for `sslmode: verify-full` could not be loaded.
    #[error("no trusted certificates were found for postgres.sslmode verify-full: {0}. Install ca-certificates")]
    Certificates(String),
    /// The TLS library refused its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The pool could not be built.
    #[error("the connection pool cannot be built: {0}")]
    Pool(String),
    /// A statement of the start failed.
    #[error("PostgreSQL failed to {what}: {}", with_causes(source))]
    Statement {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        source: tokio_postgres::Error,
    },
    /// The `records` schema could not be brought up to date.
    #[error("the migrations of the `records` schema failed: {0}")]
    Changelog(String),
    /// The appliance's own tables could not be brought up to date.
    #[error("the migrations of the schema `attendance_api` failed: {0}")]
    Appliance(String),
    /// A newer appliance has been here.
    #[error(
        "this database has been migrated by a newer attendance-api ({newest}; migration {migration} is unknown to {ours}). \
         Run that version or a newer one, or restore a backup from before the upgrade"
    )]
    Newer {
        /// The newest version that ran here.
        newest: String,
        /// The unknown migration.
        migration: String,
        /// This version.
        ours: &'static str,
    },
}

/// An error and its causes on one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}
