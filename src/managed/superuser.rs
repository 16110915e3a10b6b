//! Gives the superuser of the managed PostgreSQL its login back.
//!
//! Policy: the cluster belongs to the appliance, so a changed password, a lost password file, a renamed superuser or one without the right to
//! log in is repaired and not reported. PostgreSQL's single-user mode needs no login: it is the program itself, working on the files of
//! a stopped cluster. The statements, with the password, go through its standard input.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio_postgres::error::SqlState;
use tracing::warn;

use super::command::{ChildCommand, Input};
use super::helper;
use super::installation::SUPERUSER;
use crate::config::Secret;

/// Why the login could not be restored.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL refuses the superuser of the appliance, and its single-user mode cannot repair that in {path}: {source}", path = .cluster.display())]
pub struct Error {
    /// The cluster.
    cluster: PathBuf,
    /// The error of the program.
    source: helper::Error,
}

/// Whether this error of a query of the superuser means that its login must be restored: it was refused, it is no superuser any more, or a
/// library that its sessions shall load does not exist.
pub(super) fn is_refused(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|state| {
        [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::UNDEFINED_FILE].contains(state) || state.code().starts_with("28")
    })
}

/// Sets the name, the rights and the password of the superuser. `server` is the command line of the server, which must not run, from its
/// first argument on.
///
/// # Errors
/// When the program fails or takes longer than `timeout`.
pub(super) async fn restore(
    program: PathBuf,
    cluster: PathBuf,
    settings: &[std::ffi::OsString],
    database: &str,
    password: &Secret,
    timeout: Duration,
) -> Result<(), Error> {
    warn!("PostgreSQL refuses the superuser of the appliance; its login is set again");
    let input: Arc<[u8]> = Arc::from(statements(database, password).as_bytes());
    let command = |name: &str| {
        ChildCommand::new(&program, Signal::SIGINT)
            .arg("--single")
            .arg("-D")
            .arg(&cluster)
            .args(settings)
            // Statements must not be repeated in its output.
            .args(["-c", "log_statement=none", "-c", "log_min_duration_statement=-1", "-c", "debug_print_parse=off"])
            .arg(name)
            .input(Input::Bytes(Arc::clone(&input)))
    };
    let mut outcome = Ok(String::new());
    for name in ["template1", SUPERUSER] {
        outcome = helper::run_helper(&command(name), timeout).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome.map(|_| ()).map_err(|source| Error { cluster, source })
}

/// One statement a line. A statement that fails does not end the program: whether the superuser can log in decides.
fn statements(database: &str, password: &Secret) -> String {
    let database = database.replace('"', "\"\"");
    // The role with the oid 10 is the one that initdb made. Its session cannot rename it, so the catalog is changed.
    format!(
        "UPDATE pg_authid SET rolname = '{SUPERUSER}' WHERE oid = 10 AND rolname <> '{SUPERUSER}'\n\
         ALTER ROLE {SUPERUSER} SUPERUSER LOGIN INHERIT CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD '{}'\n\
         ALTER ROLE {SUPERUSER} RESET ALL\n\
         ALTER ROLE {SUPERUSER} IN DATABASE \"{database}\" RESET ALL\n",
        password.expose()
    )
}
