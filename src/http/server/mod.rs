//! The server: accepts connections, limits them, and drains them when it stops.
//!
//! Policy: open connections are bounded; further clients wait in the kernel's queue (`accept.rs`). Each connection waits for one
//! thing at a time, and each wait has a bound (`connection_state.rs`, `connection.rs`). When the server stops, it accepts nothing
//! more, idle connections close, requests in flight get `drain_timeout`, then every connection is closed.

mod accept;
mod connection;
mod connection_state;
mod exchange;
mod framing;
mod protocol;
mod rejection;
mod repoll;
mod request_service;
mod self_check;
mod socket;
mod timeout_timer;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::http::state::AppState;
use connection::Shutdown;

pub use self_check::{SelfCheckError, self_check};

/// How long connections may take to close after they were told to close at once. One turn of the scheduler is enough, except
/// on a machine under heavy load.
const FORCED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `shutdown` completes, then drains. Returns when all connections are closed: at most
/// `drain_timeout` and one second after `shutdown`.
pub async fn serve(listener: TcpListener, app: Arc<AppState>, shutdown: impl Future<Output = ()>) {
    let limits = app.limits();
    let max_connections = limits.max_connections.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
    let permits = Arc::new(Semaphore::new(max_connections));
    let (announce, announced) = watch::channel(Shutdown::Running);
    tokio::select! {
        never = accept::accept_connections(&listener, &app, &permits, &announced) => match never {},
        () = shutdown => {}
    }
    app.start_draining();
    drop(listener);
    announce.send_replace(Shutdown::Draining);
    let all = u32::try_from(max_connections).unwrap_or(u32::MAX);
    if timeout(limits.drain_timeout, permits.acquire_many(all)).await.is_err() {
        let connections = max_connections - permits.available_permits();
        tracing::warn!(
            connections,
            "requests were still in flight after server.drain_timeout: closing their connections"
        );
        announce.send_replace(Shutdown::Forced);
        // A connection that is still open after this time ends with the process.
        let _ = timeout(FORCED_CLOSE_TIMEOUT, permits.acquire_many(all)).await;
    }
}
