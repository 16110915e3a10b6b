//! Why the database cannot be used at the start, and what to do about it.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::config::SettingNames;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be reached within the time allowed.
    #[error("PostgreSQL at {address} was not reachable{}: {source}. {}", within(*waited), if_unreachable(names.as_deref(), *waited))]
    Unreachable {
        /// Host, port and database, or the directory of the socket.
        address: String,
        /// How long attempts were made; zero is one attempt.
        waited: Duration,
        /// The settings to correct; none if the server is managed.
        names: Option<Arc<SettingNames>>,
        /// Why the last attempt failed.
        source: AttemptError,
    },
    /// It rejected the user or the password.
    #[error(
        "PostgreSQL at {address} refused user `{user}`: {}. {}",
        with_causes(source),
        if_refused(names.as_deref())
    )]
    Refused {
        /// Host, port and database.
        address: String,
        /// The role.
        user: String,
        /// The settings to correct; none if the server is managed.
        names: Option<Arc<SettingNames>>,
        /// The server's message.
        source: tokio_postgres::Error,
    },
    /// It is a pooler without transactions.
    #[error(
        "{address} is a pooler in statement mode, which has no transactions: {}. Set its pool_mode to transaction or session \
         for this database, or name the server itself in postgres.host",
        with_causes(source)
    )]
    StatementPooler {
        /// Host, port and database.
        address: String,
        /// The pooler's message.
        source: tokio_postgres::Error,
    },
    /// It does not have the database.
    #[error(
        "PostgreSQL at {address} has no such database: {}. Create it{}",
        with_causes(source),
        names.as_deref().map(|names| format!(" or correct {}", names.database)).unwrap_or_default()
    )]
    NoDatabase {
        /// Host, port and database.
        address: String,
        /// The settings to correct; none if the server is managed.
        names: Option<Arc<SettingNames>>,
        /// The server's message.
        source: tokio_postgres::Error,
    },
    /// It accepts no changes, and its schema is not the current one.
    #[error(
        "PostgreSQL at {address} accepts no changes ({reason}), and its schema is not up to date. Use the primary server\
         {}, or promote this one, or allow changes, and start again",
        names.as_deref().map(|names| format!(" ({})", names.server)).unwrap_or_default()
    )]
    ReadOnly {
        /// Host, port and database.
        address: String,
        /// Why it accepts none.
        reason: ReadOnlyReason,
        /// The settings to correct; none if the server is managed.
        names: Option<Arc<SettingNames>>,
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
    /// Certificates for `verify-full` could not be loaded.
    #[error(
        "no trusted certificates were found for verify-full ({setting}): {}. Install ca-certificates",
        source.as_ref().map(ToString::to_string).unwrap_or_default()
    )]
    Certificates {
        /// The setting that requests them.
        setting: String,
        /// Why.
        source: Option<rustls_native_certs::Error>,
    },
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
    /// The foreign key to the directory is not as the configuration wants it.
    #[error(transparent)]
    StrictDirectory(#[from] StrictDirectoryError),
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

/// Why the foreign key is not as the configuration wants it.
#[derive(Debug, thiserror::Error)]
pub enum StrictDirectoryError {
    /// The role may not change the table.
    #[error(
        "the role of postgres.user may not change the foreign key from `records` to `employees` ({message}), as employees.strict: {is_strict} needs it; \
         give it the tables (ALTER TABLE … OWNER TO …), or start the appliance once as their owner"
    )]
    NotOwner {
        /// The setting.
        is_strict: bool,
        /// The server's words.
        message: String,
    },
    /// Another transaction used the tables for too long.
    #[error(
        "another transaction has used `records` or `employees` for a long time, so that the foreign key between them could not be changed \
         (employees.strict); end it and start again"
    )]
    Locked,
    /// A statement failed.
    #[error("the foreign key from `records` to `employees` (employees.strict) cannot be changed: {}", with_causes(.0))]
    Statement(#[source] tokio_postgres::Error),
}

/// Why one attempt to connect failed.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The connection was not made in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The connection was made, but the first query was not answered in time.
    #[error("it accepted the connection but does not answer")]
    NoAnswer,
    /// The connection failed.
    #[error("{}", with_causes(.0))]
    Connect(#[source] tokio_postgres::Error),
}

/// Why a session cannot change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnlyReason {
    /// The server follows another one.
    Standby,
    /// `default_transaction_read_only` is on.
    Setting,
}

impl std::fmt::Display for ReadOnlyReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Standby => "it is a standby of another server",
            Self::Setting => "default_transaction_read_only is on for this user, this database or the server",
        })
    }
}

impl Error {
    /// Whether the server refused a change for lack of a privilege.
    pub(super) fn is_forbidden(&self) -> bool {
        let mut error: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(cause) = error {
            let server = cause.downcast_ref::<tokio_postgres::Error>();
            if server.and_then(tokio_postgres::Error::code) == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
                return true;
            }
            error = cause.source();
        }
        false
    }
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

/// How long attempts were made, unless there was only one.
fn within(waited: Duration) -> String {
    if waited.is_zero() { String::new() } else { format!(" within {} s", waited.as_secs_f64()) }
}

fn if_unreachable(names: Option<&SettingNames>, waited: Duration) -> String {
    match names {
        None => "The log of its appliance says why".to_owned(),
        Some(names) if waited.is_zero() => format!("Start it, or correct {}", names.server),
        Some(names) => {
            format!("Start it, correct {}, or allow more time with postgres.connect_timeout", names.server)
        }
    }
}

fn if_refused(names: Option<&SettingNames>) -> String {
    match names {
        None => "Start the appliance again, which repairs its roles".to_owned(),
        Some(names) => format!("Correct {}, or allow this host in the server's pg_hba.conf", names.login),
    }
}

/// An error and its causes on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
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
