//! The accept loop and the drain.
//!
//! Policy: a permit is taken *before* accept, so that open connections are bounded and the rest waits in the
//! kernel's queue. The loop never dies: a client that is gone before it is accepted is noise; when the system is
//! out of something, accepting pauses. At stop nothing is accepted any more, idle connections close, requests in flight get
//! `drain_timeout`, then every connection is closed.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::http::state::AppState;
mod connection;
pub mod connection_state;
mod repoll;
pub mod self_check;
mod socket;

use connection::Shutdown;

/// How long accepting pauses when the system is out of file descriptors, buffers or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// After the hard end connections need no more than a turn of the scheduler; this is for a loaded machine.
const FORCED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `shutdown` completes, then drains. Returns when all connections are closed: at most
/// `drain_timeout` and one second after `shutdown`.
pub async fn serve(listener: TcpListener, app: Arc<AppState>, shutdown: impl Future<Output = ()>) {
    let limits = app.limits();
    let most = limits.max_connections.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
    let permits = Arc::new(Semaphore::new(most));
    let (stop, stopped) = watch::channel(Shutdown::Running);
    tokio::select! {
        never = accept(&listener, &app, &permits, &stopped) => match never {},
        () = shutdown => {}
    }
    app.draining.store(true, Ordering::Relaxed);
    drop(listener);
    stop.send_replace(Shutdown::Draining);
    let all = u32::try_from(most).unwrap_or(u32::MAX);
    if timeout(limits.drain_timeout, permits.acquire_many(all)).await.is_err() {
        let connections = most - permits.available_permits();
        tracing::warn!(
            connections,
            "requests were still in flight after server.drain_timeout: closing their connections"
        );
        stop.send_replace(Shutdown::Forced);
        // What is not closed by then ends with the process.
        let _ = timeout(FORCED_CLOSE_TIMEOUT, permits.acquire_many(all)).await;
    }
}

async fn accept(
    listener: &TcpListener,
    app: &Arc<AppState>,
    permits: &Arc<Semaphore>,
    stopped: &watch::Receiver<Shutdown>,
) -> Infallible {
    let mut out_of_resources = false;
    loop {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
            // Nobody closes the semaphore; if somebody did, nothing could be accepted.
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((tcp, peer)) => {
                out_of_resources = false;
                tokio::spawn(serve_connection(tcp, peer, Arc::clone(app), stopped.clone(), permit));
            }
            Err(error) if is_client_abort(&error) => tracing::debug!(%error, "a client left before it was accepted"),
            Err(error) => {
                if !out_of_resources {
                    tracing::error!(%error, "cannot accept connections: trying again every 100 ms");
                }
                out_of_resources = true;
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// The client's doing, gone with it.
fn is_client_abort(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn serve_connection(
    tcp: TcpStream,
    peer: SocketAddr,
    app: Arc<AppState>,
    stopped: watch::Receiver<Shutdown>,
    permit: OwnedSemaphorePermit,
) {
    // It fails only on a connection that is dead already.
    let _ = tcp.set_nodelay(true);
    let _guard = ConnectionGuard::new(Arc::clone(&app));
    connection::run(tcp, peer, app, stopped).await;
    drop(permit);
}

/// Counts an open connection, also when its task panics.
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
