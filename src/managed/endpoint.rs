//! How to connect to the managed PostgreSQL.
//!
//! Policy: the parameters of a session that statements rely on are part of the connection, so that no setting of a role or of the database
//! (`ALTER ROLE … SET`, `ALTER DATABASE … SET`) changes what a statement means. A database that was made read-only on purpose stays so for
//! requests.

use std::path::{Path, PathBuf};

use super::cluster;
use super::installation::SUPERUSER;
use super::roles::{self, Passwords};
use crate::config::Secret;
use crate::database::{self, Database};

/// The port is only a part of the socket's name, because the server does not listen on TCP.
pub(super) const PORT: u16 = 5432;
/// The file name of the socket.
pub(super) const SOCKET_NAME: &str = ".s.PGSQL.5432";
/// The database that every cluster has.
const MAINTENANCE_DATABASE: &str = "postgres";
/// The database from which others are made; used if the one above was dropped.
const TEMPLATE_DATABASE: &str = "template1";

/// Parameters of every session.
const SESSION_OPTIONS: &str = "-c search_path=\"$user\",public -c statement_timeout=0 -c lock_timeout=0 \
    -c idle_session_timeout=0 -c idle_in_transaction_session_timeout=0 -c default_transaction_isolation=read\\ committed \
    -c standard_conforming_strings=on -c transform_null_equals=off -c default_tablespace= -c default_table_access_method=heap";
/// Further parameters of the owner's sessions and of the superuser's.
const WRITER_OPTIONS: &str = " -c default_transaction_read_only=off";
/// Further parameters of the superuser's sessions, which no other role may set.
const SUPERUSER_OPTIONS: &str = " -c session_preload_libraries=";

/// The connection parameters of a managed PostgreSQL, which restarts do not change.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The directory of its socket.
    pub socket_dir: PathBuf,
    /// Part of the socket's name.
    pub port: u16,
    /// The role to use.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// The database to use.
    pub database: String,
}

impl Endpoint {
    /// The parameters of the superuser.
    pub(super) fn superuser(socket_dir: PathBuf, password: Secret, database: &str) -> Self {
        Self { socket_dir, port: PORT, user: SUPERUSER.to_owned(), password, database: database.to_owned() }
    }

    /// The path of its socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.socket_dir.join(SOCKET_NAME)
    }

    /// The configured database.
    ///
    /// # Errors
    /// When the TLS library fails to start.
    pub fn database(&self) -> Result<Database, database::Error> {
        self.database_named(&self.database)
    }

    /// Databases that exist if the configured one does not, the first choice first.
    pub(super) fn maintenance_databases(&self) -> Result<[Database; 2], database::Error> {
        Ok([self.database_named(MAINTENANCE_DATABASE)?, self.database_named(TEMPLATE_DATABASE)?])
    }

    /// Another database of the cluster.
    ///
    /// # Errors
    /// When the TLS library fails to start.
    pub fn database_named(&self, name: &str) -> Result<Database, database::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket_dir).port(self.port).user(&self.user).password(self.password.expose());
        config.dbname(name).options(self.options());
        Database::on_unix_socket(config, self.socket())
    }

    fn options(&self) -> String {
        let is_superuser = self.user == SUPERUSER;
        let writer = if is_superuser || self.user == roles::OWNER { WRITER_OPTIONS } else { "" };
        format!("{SESSION_OPTIONS}{writer}{}", if is_superuser { SUPERUSER_OPTIONS } else { "" })
    }
}

/// The connection parameters of each role.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// For the supervision.
    pub superuser: Endpoint,
    /// For the migrations: the role that owns the database.
    pub owner: Endpoint,
    /// For the requests: the role that has only the privileges of their statements.
    pub requests: Endpoint,
}

impl Endpoints {
    pub(super) fn new(superuser: &Endpoint, passwords: Passwords) -> Self {
        let role = |user: &str, password| Endpoint { user: user.to_owned(), password, ..superuser.clone() };
        Self {
            superuser: superuser.clone(),
            owner: role(roles::OWNER, passwords.owner),
            requests: role(roles::REQUESTS, passwords.requests),
        }
    }

    /// The server that another process of ours runs on this data directory, if one does.
    pub fn of_running(data_dir: &Path, database: &str) -> Option<Self> {
        let cluster::Running { socket_dir, password, root } = cluster::running(data_dir)?;
        let superuser = Endpoint::superuser(socket_dir, password, database);
        Some(match roles::recorded_passwords(&root) {
            Some(passwords) => Self::new(&superuser, passwords),
            // An appliance of version 0.1.0 runs it, which uses the superuser for everything.
            None => Self { owner: superuser.clone(), requests: superuser.clone(), superuser },
        })
    }
}
