//! Feeding systemd's watchdog.
//!
//! Policy: it is fed only after the process has answered its own `GET /livez`, over TCP and through the code that serves
//! clients. This request needs no connection permit, so a server at its limit of connections is not restarted, and it does not
//! use the database, because a restart would not repair it. Each request has a time-out; a request that fails is logged and does not feed
//! the watchdog.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use super::systemd;
use crate::http::{self, AppState};

/// The task that feeds the watchdog; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watchdog(JoinHandle<()>);

impl Watchdog {
    /// Starts the task, if the service manager has a watchdog for this process.
    pub(super) fn start(app: Arc<AppState>) -> Option<Self> {
        let limit = systemd::watchdog_timeout()?;
        tracing::info!(
            limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            "the service manager's watchdog is fed"
        );
        Some(Self(tokio::spawn(feed(app, limit / 2))))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn feed(app: Arc<AppState>, request_interval: Duration) {
    let mut ticks = interval(request_interval);
    loop {
        ticks.tick().await;
        match timeout(request_interval, http::self_check(Arc::clone(&app))).await {
            Ok(Ok(())) => systemd::feed_watchdog(),
            Ok(Err(error)) => tracing::error!(%error, "the appliance does not answer itself: the watchdog is not fed"),
            Err(_) => tracing::error!("the appliance does not answer itself in time: the watchdog is not fed"),
        }
    }
}
