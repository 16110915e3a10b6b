//! The accept loop.
//!
//! Policy: a permit is taken *before* accept, so that open connections are bounded and further clients wait in the
//! kernel's queue. The loop never ends: a client that leaves before it is accepted is ignored, and when the system lacks
//! file descriptors, buffers or memory, accepting pauses.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::connection::{self, Shutdown};
use crate::http::state::AppState;

/// How long accepting pauses when the system is out of file descriptors, buffers or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Accepts connections and serves each in a task of its own.
pub async fn accept_connections(
    listener: &TcpListener,
    app: &Arc<AppState>,
    permits: &Arc<Semaphore>,
    shutdown: &watch::Receiver<Shutdown>,
) -> Infallible {
    let mut is_out_of_resources = false;
    loop {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
            // The semaphore is never closed. If it were, no further connection could be accepted.
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((tcp, peer)) => {
                is_out_of_resources = false;
                tokio::spawn(serve_connection(tcp, peer, Arc::clone(app), shutdown.clone(), permit));
            }
            Err(error) if is_client_abort(&error) => tracing::debug!(%error, "a client left before it was accepted"),
            Err(error) => {
                if !is_out_of_resources {
                    tracing::error!(%error, "cannot accept connections: trying again every 100 ms");
                }
                is_out_of_resources = true;
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Whether the client caused the error: it concerns that client only.
fn is_client_abort(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn serve_connection(
    tcp: TcpStream,
    peer: SocketAddr,
    app: Arc<AppState>,
    shutdown: watch::Receiver<Shutdown>,
    permit: OwnedSemaphorePermit,
) {
    // Fails only if the connection is already closed; reading from it reports that.
    let _ = tcp.set_nodelay(true);
    let _guard = ConnectionGuard::new(Arc::clone(&app));
    connection::run(tcp, peer, app, shutdown).await;
    drop(permit);
}

/// Counts an open connection until it is dropped, also if the connection's task panics.
struct ConnectionGuard(Arc<AppState>);

impl ConnectionGuard {
    fn new(app: Arc<AppState>) -> Self {
        app.metrics.connections_open.inc();
        Self(app)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.metrics.connections_open.dec();
    }
}
