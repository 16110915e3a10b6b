//! Keeps the login of the requests working while the server runs.
//!
//! Policy: an administrator may change a password or take a right away at any time. The start repairs that, and so does this task, which logs
//! in as a request does, every few seconds. The role gets the password back that the connection pool has. What cannot be repaired without
//! a stop of the server, such as a changed password of the superuser, is logged once and left to the next start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tracing::{error, warn};

use super::endpoint::{Endpoint, Endpoints};
use super::postgres_error::{Error, with_timeout};
use super::roles::{self, Passwords};

/// The time between two logins.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The time-out of a login; a server that takes longer is not refusing it.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The task; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct RoleGuard(JoinHandle<()>);

impl RoleGuard {
    /// Starts the task. `root` is the directory of the clusters.
    pub(super) fn start(endpoints: Endpoints, root: PathBuf) -> Self {
        Self(tokio::spawn(async move {
            let mut is_reported = false;
            loop {
                sleep(CHECK_INTERVAL).await;
                let Some(refusal) = refusal(&endpoints.requests).await else {
                    is_reported = false;
                    continue;
                };
                match repair(&endpoints, &root).await {
                    Ok(()) => warn!("PostgreSQL refused the role of the requests ({refusal}); it is set up again"),
                    Err(reason) if !is_reported => {
                        error!(
                            "PostgreSQL refuses the role of the requests ({refusal}), and it cannot be set up again: {reason}; a restart repairs that"
                        );
                        is_reported = true;
                    }
                    Err(_) => {}
                }
            }
        }))
    }
}

impl Drop for RoleGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The error of a login, if the server answered and refused it.
async fn refusal(requests: &Endpoint) -> Option<tokio_postgres::Error> {
    let error = timeout(LOGIN_TIMEOUT, requests.database().ok()?.open()).await.ok()?.err()?;
    let state = error.code()?;
    let refusals = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::TOO_MANY_CONNECTIONS];
    (state.code().starts_with("28") || refusals.contains(state)).then_some(error)
}

async fn repair(endpoints: &Endpoints, root: &Path) -> Result<(), Error> {
    let superuser = &endpoints.superuser;
    let client = with_timeout("connecting", superuser.database()?.open()).await?;
    let state = with_timeout("asking for its settings and roles", roles::state(&client)).await?;
    let password = |endpoint: &Endpoint| endpoint.password.clone();
    let passwords = Passwords { owner: password(&endpoints.owner), requests: password(&endpoints.requests) };
    roles::establish(&client, &superuser.database, root, &state, Some(passwords)).await.map(drop).map_err(Error::from)
}
