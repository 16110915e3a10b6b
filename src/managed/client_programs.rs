//! PostgreSQL's client programs: `pg_dump`, `pg_dumpall`, `pg_restore` and the others of the installation.
//!
//! Policy: a password reaches a program through a file that only this user can read (`PGPASSFILE`), never through its command line or its
//! environment, which other processes may see. Everything else about the connection is in the environment. What streams the data of a backup has a lower
//! priority than requests.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::command::{ChildCommand, Input};
use super::distribution::{self, Source};
use super::endpoint::Endpoint;
use super::helper;
use super::installation::{Installation, Version};
use super::piped_program::PipedProgram;
use super::secret_file;
use crate::priority::BACKUP_NICENESS;

/// The name under which the sessions of the programs are listed by the server.
pub const APPLICATION_NAME: &str = "attendance-api-backup";

/// Where and as whom a program logs in, by a Unix socket.
#[derive(Debug, Clone)]
pub struct Login {
    /// The directory of the socket.
    pub socket_dir: PathBuf,
    /// Part of the socket's name.
    pub port: u16,
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// The file with its password.
    pub password_file: PathBuf,
}

impl Login {
    /// The login of an endpoint; its password is written to `password_file`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn of(endpoint: &Endpoint, password_file: &Path) -> io::Result<Self> {
        write_password_file(password_file, endpoint.password.expose())?;
        Ok(Self {
            socket_dir: endpoint.socket_dir.clone(),
            port: endpoint.port,
            user: endpoint.user.clone(),
            database: endpoint.database.clone(),
            password_file: password_file.to_owned(),
        })
    }
}

/// Writes a file in libpq's form, for any server, in which `:` and `\` are escaped.
///
/// # Errors
/// When the file cannot be written.
pub fn write_password_file(path: &Path, password: &str) -> io::Result<()> {
    let escaped = password.replace('\\', r"\\").replace(':', r"\:");
    secret_file::write(path, &format!("*:*:*:*:{escaped}\n"))
}

/// The client programs of one installation.
#[derive(Debug, Clone)]
pub struct ClientPrograms {
    installation: Installation,
}

impl ClientPrograms {
    /// Puts the programs in place if they are not: those of `bin_dir`, else those that a managed PostgreSQL would use. Other versions of the
    /// embedded distribution in the directory `dist` stay, because a server may run from them.
    ///
    /// # Errors
    /// When there are none.
    pub async fn find(bin_dir: Option<&Path>, dist: &Path) -> Result<Self, distribution::Error> {
        Ok(Self { installation: Source::find(bin_dir)?.install(dist).await? })
    }

    /// Their version.
    pub fn version(&self) -> &Version {
        &self.installation.version
    }

    /// The installation.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Starts a program. `has_input` says whether its standard input is a stream; otherwise it is empty.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start<A: AsRef<OsStr>>(
        &self,
        program: &str,
        login: &Login,
        arguments: impl IntoIterator<Item = A>,
        has_input: bool,
    ) -> Result<PipedProgram, helper::Error> {
        let command = self.command(program, login).args(arguments).niceness(BACKUP_NICENESS);
        PipedProgram::start(&command.input(if has_input { Input::Stream } else { Input::Nothing })).await
    }

    /// Runs a program on files, to its end.
    ///
    /// # Errors
    /// When it cannot be started, takes longer than `timeout`, or fails.
    pub async fn run_on_files<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
        timeout: Duration,
    ) -> Result<(), helper::Error> {
        let command = ChildCommand::new(self.installation.program(program), Signal::SIGKILL).args(arguments);
        helper::run_helper(&command, timeout).await.map(drop)
    }

    /// The command of a program that logs in.
    pub(super) fn command(&self, program: &str, login: &Login) -> ChildCommand {
        ChildCommand::new(self.installation.program(program), Signal::SIGKILL)
            .env("PGHOST", &login.socket_dir)
            .env("PGPORT", login.port.to_string())
            .env("PGUSER", &login.user)
            .env("PGDATABASE", &login.database)
            .env("PGPASSFILE", &login.password_file)
            .env("PGAPPNAME", APPLICATION_NAME)
            .env("PGCONNECT_TIMEOUT", "30")
            .env("PGCLIENTENCODING", "UTF8")
    }
}
