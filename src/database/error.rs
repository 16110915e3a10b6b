//! Why the database cannot be used at the start, and what to do about it.

use std::time::Duration;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be reached within the time allowed.
    #[error(
        "PostgreSQL at {address} was not reachable within {} s: {source}. Start it, correct postgres.host and \
         postgres.port, or allow more time with postgres.connect_timeout",
        waited.as_secs()
    )]
    Unreachable {
        /// Host, port and database, or the directory of the socket.
        address: String,
        /// How long the attempts took.
        waited: Duration,
        /// Why the last attempt failed.
        source: AttemptError,
    },
    /// It rejected the user or the password.
    #[error(
        "PostgreSQL at {address} refused user `{user}`: {}. Correct postgres.user and postgres.password, or \
         allow this host in the server's pg_hba.conf",
        with_causes(source)
    )]
    Refused {
        /// Host, port and database.
        address: String,
        /// The role.
        user: String,
        /// The server's message.
        source: tokio_postgres::Error,
    },
    /// It does not have the database.
    #[error(
        "PostgreSQL at {address} has no such database: {}. Create it or correct postgres.database",
        with_causes(source)
    )]
    NoDatabase {
        /// Host, port and database.
        address: String,
        /// The server's message.
        source: tokio_postgres::Error,
    },
    /// Its version is not supported.
    #[error(
        "PostgreSQL at {address} is version {version}; {oldest} or newer is needed. Upgrade the server or use another"
    )]
    TooOld {
        /// Host, port and database.
        address: String,
        /// The server's version.
        version: String,
        /// The oldest supported major version.
        oldest: u32,
    },
    /// Certificates for `sslmode: verify-full` could not be loaded.
    #[error(
        "no trusted certificates were found for postgres.sslmode verify-full: {}. Install ca-certificates",
        .0.as_ref().map(ToString::to_string).unwrap_or_default()
    )]
    Certificates(#[source] Option<rustls_native_certs::Error>),
    /// The file of certificates to trust cannot be used.
    #[error("the certificates in {path} cannot be used: {source}", path = .path.display())]
    RootCertificates {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The TLS library rejected its settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The pool's settings are inconsistent.
    #[error("the connection pool cannot be built: {0}")]
    Pool(#[from] deadpool_postgres::BuildError),
    /// A statement of the start failed.
    #[error("PostgreSQL failed to {what}: {}", with_causes(source))]
    Statement {
        /// What the statement was for.
        what: &'static str,
        /// The error of the statement.
        source: tokio_postgres::Error,
    },
    /// The `records` schema could not be brought up to date.
    #[error("the migrations of the `records` schema failed: {}", with_causes(&**.0))]
    Changelog(#[source] Box<liquibase_compat::Error>),
    /// The changelog of the `records` schema could not be read.
    #[error("the migrations of the `records` schema failed: {}", with_causes(&**.0))]
    LoadChangelog(#[source] Box<liquibase_compat::LoadError>),
    /// The appliance's own tables could not be brought up to date.
    #[error("the migrations of the schema `attendance_api` failed: {}", with_causes(.0))]
    Appliance(#[from] refinery::Error),
    /// A newer appliance has migrated the database.
    #[error(
        "this database has been migrated by a newer attendance-api ({newest}; migration {migration} is unknown to {ours}). \
         Run that version or a newer one, or restore a backup from before the upgrade"
    )]
    Newer {
        /// The newest version that has used the database.
        newest: String,
        /// The unknown migration.
        migration: String,
        /// The version of this program.
        ours: &'static str,
    },
}

/// Why one attempt to connect failed.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The connection was not made in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The connection was made, but the first query was not answered in time.
    #[error("it accepted the connection but does not answer")]
    NoAnswer,
    /// The connection failed.
    #[error("{}", with_causes(.0))]
    Connect(#[source] tokio_postgres::Error),
}

impl From<liquibase_compat::Error> for Error {
    fn from(error: liquibase_compat::Error) -> Self {
        Self::Changelog(Box::new(error))
    }
}

impl From<liquibase_compat::LoadError> for Error {
    fn from(error: liquibase_compat::LoadError) -> Self {
        Self::LoadChangelog(Box::new(error))
    }
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
