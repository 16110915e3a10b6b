//! Access control at the start of the appliance.
//!
//! Policy: with `auth.mode: off` there is none, and a server that other machines can reach says so in the log. With `required`, a start without an account serves, so that
//! probes and documentation are answered, and the log says how the first account is made. The audit gets an entry when these settings differ from those of
//! its last entry about them, also when access control is switched off.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Error;
use super::backends::Backends;
use super::foreign_writes::{Announcements, PROOF_TTL};
use crate::access::{self, Access, AccessTables, CredentialChanges};
use crate::config::{AuthMode, Config, MetricsAccess, PostgresService};
use crate::database::ConnectionPool;
use crate::database::notifications::Notifications;
use crate::http::AccessControl;
use crate::operate::control::EndCredentials;
use crate::telemetry::format::CONFIGURED_CONDITION;
use crate::telemetry::metrics::Metrics;

/// What the log says if changes of sessions and tokens are not announced.
const LIMITED: &str = "changes of accounts, sessions and tokens by other instances and by commands are not announced: sessions and tokens are cached \
    for at most one second";

/// Starts access control if it is switched on. Returns what requests use, and the connection that listens for changes, which must live as long. `pool`
/// has the connections of the requests.
///
/// # Errors
/// When the database fails, or the tables are missing.
pub(super) async fn start(
    config: &Config,
    backends: &Backends,
    pool: Arc<ConnectionPool>,
    database_id: &str,
    metrics: &Metrics,
) -> Result<(Option<AccessControl>, Option<Notifications>), Error> {
    let is_required = config.auth.is_required();
    // A database that accepts no changes at the moment is served from as well, and one without the tables where they are not needed.
    match access::note_settings(Arc::clone(&pool), metrics, is_required, &settings(config)).await {
        Ok(()) => {}
        Err(error) if is_required => tracing::warn!(%error, "the audit has no entry about the settings of access"),
        Err(error) => tracing::info!(%error, "the audit has no entry about the settings of access"),
    }
    if !is_required {
        warn_if_open(config.server.listen);
        return Ok((None, None));
    }
    let tables = AccessTables::open(pool, metrics).await?;
    let announcements = Announcements::prepare(config, &backends.requests, LIMITED).await?;
    let cache = backends.credential_cache(&config.redis, database_id, &announcements, tables.key(), metrics)?;
    let cache = cache.map(Arc::new);
    let access = Access::start(tables, cache.clone(), &config.auth, metrics);
    let notifications = match cache {
        Some(cache) => {
            let listener = Arc::new(CredentialChanges::new(cache, PROOF_TTL));
            announcements.listen(access::subscription(), listener).await
        }
        None => None,
    };
    if !access.has_accounts().await? {
        log_first_account(config);
    }
    let protects_metrics = config.auth.metrics == MetricsAccess::Token;
    Ok((Some(AccessControl { access, protects_metrics }), notifications))
}

/// What ends credentials when a command on the machine has changed them.
pub(super) fn end_credentials(control: Option<&AccessControl>) -> Option<EndCredentials> {
    let access = Arc::clone(&control?.access);
    Some(Arc::new(move |keys| {
        let access = Arc::clone(&access);
        Box::pin(async move {
            tracing::info!(credentials = keys.len(), "a command on the machine has changed sessions or tokens");
            access.end_credentials(&keys).await.map_err(|error| error.to_string())
        })
    }))
}

/// The settings of which the audit has each change.
fn settings(config: &Config) -> [(&'static str, String); 5] {
    let auth = &config.auth;
    let metrics = match auth.metrics {
        MetricsAccess::Open => "open",
        MetricsAccess::Token => "token",
    };
    let mode = match auth.mode {
        AuthMode::Off => "off",
        AuthMode::Required => "required",
    };
    [
        ("auth.mode", mode.to_owned()),
        ("auth.session_idle", format!("{}s", auth.session_idle.as_secs())),
        ("auth.session_max", format!("{}s", auth.session_max.as_secs())),
        ("auth.metrics", metrics.to_owned()),
        ("auth.audit_keep", format!("{}s", auth.audit_keep.as_secs())),
    ]
}

fn warn_if_open(listen: SocketAddr) {
    if !listen.ip().is_loopback() {
        tracing::warn!(
            target: CONFIGURED_CONDITION,
            address = %listen,
            "every client that reaches this address may read and change all records: set auth.mode: required, or listen on 127.0.0.1"
        );
    }
}

fn log_first_account(config: &Config) {
    let place = match config.postgres.service {
        PostgresService::Managed(_) => format!(" --data-dir {}", config.data_dir.display()),
        PostgresService::External(_) => String::new(),
    };
    tracing::warn!(
        "there is no account yet, so that requests are refused; make one, as the user of this process: attendance-api account add NAME --role admin{place}"
    );
}
