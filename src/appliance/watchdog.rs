//! Feeding systemd's watchdog.
//!
//! Policy: it is fed only when the runtime has answered a request of its own: `GET /livez` over TCP, through the same
//! stack as a client's. The request takes no client's permit, so a full house is no reason to be restarted; and it asks no
//! database, because a restart mends none. Each request has a bound; one that fails is logged and feeds nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use super::systemd;
use crate::http::{self, AppState};

/// Feeds until it is dropped.
#[derive(Debug)]
pub(super) struct Watchdog(JoinHandle<()>);

impl Watchdog {
    /// Starts feeding, where the service manager watches.
    pub(super) fn start(app: Arc<AppState>) -> Option<Self> {
        let limit = systemd::watchdog()?;
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

async fn feed(app: Arc<AppState>, period: Duration) {
    let mut beat = interval(period);
    loop {
        beat.tick().await;
        match timeout(period, http::self_check(Arc::clone(&app))).await {
            Ok(Ok(())) => systemd::alive(),
            Ok(Err(error)) => tracing::error!(error, "the appliance does not answer itself: the watchdog is not fed"),
            Err(_) => tracing::error!("the appliance does not answer itself in time: the watchdog is not fed"),
        }
    }
}
