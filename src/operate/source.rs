//! The database that is backed up: the managed one, or an external server.
//!
//! Policy: the programs log in by a Unix socket in any case. An external server is reached through a tunnel, because the embedded programs have no TLS.

use std::path::Path;

use super::Error;
use crate::config::ExternalPostgres;
use crate::database::{Database, Tunnel};
use crate::managed::Endpoint;
use crate::managed::client_programs::{Login, write_password_file};

/// The name of the file with the password of the programs.
const PASSWORD_FILE: &str = "pgpass";

/// A database and how programs log in to it.
#[derive(Debug)]
pub struct Source {
    pub(super) database: Database,
    pub(super) login: Login,
    /// Whether its role may read the verifiers of passwords: the superuser of a managed server.
    pub(super) is_managed: bool,
    /// Open as long as the programs use it.
    _tunnel: Option<Tunnel>,
}

impl Source {
    /// The managed database, as its superuser. Files are made in the private directory `scratch`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn managed(superuser: &Endpoint, scratch: &Path) -> Result<Self, Error> {
        let password_file = scratch.join(PASSWORD_FILE);
        let login = Login::of(superuser, &password_file).map_err(Error::at(&password_file))?;
        Ok(Self { database: superuser.database()?, login, is_managed: true, _tunnel: None })
    }

    /// A database of an external server. Files are made in the private directory `scratch`.
    ///
    /// # Errors
    /// When a file or socket cannot be made.
    pub fn external(external: &ExternalPostgres, scratch: &Path) -> Result<Self, Error> {
        let password_file = scratch.join(PASSWORD_FILE);
        write_password_file(&password_file, external.password.expose()).map_err(Error::at(&password_file))?;
        let database = Database::external(external)?;
        let tunnel = database.tunnel(scratch).map_err(Error::at(scratch))?;
        let login = Login {
            socket_dir: tunnel.directory().to_owned(),
            port: tunnel.port(),
            user: external.user.clone(),
            database: external.database.clone(),
            password_file,
        };
        Ok(Self { database, login, is_managed: false, _tunnel: Some(tunnel) })
    }
}
