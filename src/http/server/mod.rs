//! The server: accepts connections, limits them, and drains them when it stops.
//!
//! Policy: open connections are bounded, also those of one client (`accept.rs`); connections without a request make room for new ones
//! (`connection_table.rs`). Each connection waits for one thing at a time, and each wait has a bound (`connection_state.rs`,
//! `connection.rs`); so has what the kernel keeps for a client that does not read (`socket.rs`), and how slowly one may read
//! (`write_progress.rs`). When the server stops, it accepts nothing more, idle connections close, requests in flight get `drain_timeout`, then
//! every connection is closed.

mod accept;
mod connection;
mod connection_state;
mod connection_table;
mod disconnect;
mod exchange;
pub(super) mod framing;
mod overdue;
mod protocol;
mod rejection;
mod repoll;
mod request_service;
mod self_check;
mod socket;
mod timeout_timer;
mod write_progress;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::http::state::AppState;
use accept::Acceptor;
use connection::Shutdown;

pub use self_check::{SelfCheckError, self_check};

/// How long connections may take to close after the request to close at once. One turn of the scheduler is enough, except
/// on a machine under heavy load.
const FORCED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `shutdown` completes, then drains. Returns when all connections are closed: at most
/// `drain_timeout` and one second after `shutdown`.
pub async fn serve(listener: TcpListener, app: Arc<AppState>, shutdown: impl Future<Output = ()>) {
    let limits = app.limits();
    let (announce, announced) = watch::channel(Shutdown::Running);
    let mut acceptor = Acceptor::new(listener, Arc::clone(&app), announced, limits.max_connections);
    tokio::select! {
        never = acceptor.run() => match never {},
        () = shutdown => {}
    }
    app.start_draining();
    let permits = acceptor.stop();
    announce.send_replace(Shutdown::Draining);
    // One more than there are connections (`accept.rs`). The configuration allows at most a million.
    let all = u32::try_from(limits.max_connections + 1).unwrap_or(u32::MAX);
    if timeout(limits.drain_timeout, permits.acquire_many(all)).await.is_err() {
        let connections = all as usize - permits.available_permits();
        tracing::warn!(
            connections,
            "requests were still in flight after server.drain_timeout: closing their connections"
        );
        announce.send_replace(Shutdown::Forced);
        // A connection that is still open after this time ends with the process.
        let _ = timeout(FORCED_CLOSE_TIMEOUT, permits.acquire_many(all)).await;
    }
}
