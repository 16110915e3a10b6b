//! The accept loop.
//!
//! Policy: every client is accepted at once, so that no flood of connections keeps others waiting in the kernel's queue. One whose address has too
//! many connections is refused with a 503. When all places are taken, another connection has to make room (`connection_table.rs`); if none
//! can, the client waits here, and those after it in the kernel's queue. The loop never ends: a client that leaves before it is accepted is ignored,
//! and when the system lacks file descriptors, buffers or memory, accepting pauses.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::connection::{self, Shutdown};
use super::connection_state::ConnectionState;
use super::connection_table::{ConnectionTable, Place};
use super::rejection;
use crate::config;
use crate::http::forwarded;
use crate::http::state::AppState;
use crate::peer_counts::{Peer, PeerCount, PeerCounts};

/// How long accepting pauses when the system is out of file descriptors, buffers or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How often a connection is looked for that can make room.
const EVICTION_INTERVAL: Duration = Duration::from_millis(10);
/// The reason of a refused connection in the metrics; [`super::overdue::Overdue`] has the others.
const REFUSED: &str = "max_connections_per_client";

/// Accepts connections and serves each in a task of its own.
pub struct Acceptor {
    listener: TcpListener,
    app: Arc<AppState>,
    shutdown: watch::Receiver<Shutdown>,
    /// One for each place, and the spare one.
    permits: Arc<Semaphore>,
    table: Arc<ConnectionTable>,
    peers: Arc<PeerCounts>,
    /// The client that was accepted when all places were taken.
    waiting: Option<Client>,
    /// With it, that client is served if the server stops: it has been accepted, so no other process can serve it.
    spare: Option<OwnedSemaphorePermit>,
    is_out_of_resources: bool,
}

/// A client that has been accepted.
struct Client {
    tcp: TcpStream,
    address: SocketAddr,
    count: PeerCount,
}

impl Acceptor {
    /// A loop that has not accepted anything. There are `max_connections` places.
    pub fn new(
        listener: TcpListener,
        app: Arc<AppState>,
        shutdown: watch::Receiver<Shutdown>,
        max_connections: usize,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(max_connections + 1));
        Self {
            listener,
            app,
            shutdown,
            spare: Arc::clone(&permits).try_acquire_owned().ok(),
            permits,
            table: Arc::new(ConnectionTable::new(max_connections)),
            peers: Arc::default(),
            waiting: None,
            is_out_of_resources: false,
        }
    }

    /// Accepts connections for ever.
    pub async fn run(&mut self) -> Infallible {
        loop {
            if self.waiting.is_some() {
                let permit = self.make_room().await;
                if let Some(client) = self.waiting.take() {
                    self.serve(client, permit);
                }
            }
            match self.listener.accept().await {
                Ok((tcp, address)) => {
                    self.is_out_of_resources = false;
                    self.admit(tcp, address);
                }
                Err(error) if is_client_abort(&error) => {
                    tracing::debug!(%error, "a client left before it was accepted")
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_out_of_resources, true) {
                        tracing::error!(%error, "cannot accept connections: trying again every 100 ms");
                    }
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// Closes the listening socket. Returns the permits: all of them are available when no connection is open any more.
    pub fn stop(mut self) -> Arc<Semaphore> {
        if let Some((client, permit)) = self.waiting.take().zip(self.spare.take()) {
            self.serve(client, permit);
        }
        Arc::clone(&self.permits)
    }

    /// Serves the client if there is a place for it, or lets it wait, or refuses it.
    fn admit(&mut self, tcp: TcpStream, address: SocketAddr) {
        let max = max_connections_of(address, &self.app.limits());
        let Some(count) = self.peers.try_add(Peer::of(address.ip()), 1, |usage| usage.of_peer < max) else {
            return self.refuse(&tcp);
        };
        let client = Client { tcp, address, count };
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => self.serve(client, permit),
            Err(_) => self.waiting = Some(client),
        }
    }

    fn refuse(&self, tcp: &TcpStream) {
        self.app.metrics.connections_closed.with_label_values(&[REFUSED]).inc();
        // The buffer of a new connection has room for it. If the client is gone already, it needs no answer.
        let _ = SockRef::from(tcp).send(&rejection::too_many_connections(&self.app));
    }

    /// Waits for a place, and lets other connections make room.
    async fn make_room(&self) -> OwnedSemaphorePermit {
        loop {
            self.table.evict();
            tokio::select! {
                permit = Arc::clone(&self.permits).acquire_owned() => match permit {
                    Ok(permit) => return permit,
                    // The semaphore is never closed. If it were, no further connection could be served.
                    Err(_) => std::future::pending().await,
                },
                () = tokio::time::sleep(EVICTION_INTERVAL) => {}
            }
        }
    }

    fn serve(&self, client: Client, permit: OwnedSemaphorePermit) {
        let state = Arc::new(ConnectionState::new());
        let open = OpenConnection::new(Arc::clone(&self.app), self.table.add(Arc::clone(&state)), client.count, permit);
        let (app, shutdown) = (Arc::clone(&self.app), self.shutdown.clone());
        tokio::spawn(async move {
            connection::run(client.tcp, client.address, state, app, shutdown).await;
            drop(open);
        });
    }
}

/// How many connections one client may have. A trusted proxy has those of many clients.
fn max_connections_of(address: SocketAddr, limits: &config::Server) -> u64 {
    if forwarded::is_trusted(address.ip(), &limits.trusted_proxies) {
        return u64::MAX;
    }
    let max = limits.max_connections;
    limits.max_connections_per_client.unwrap_or(max - max / 10) as u64
}

/// Whether the client caused the error: it concerns that client only.
fn is_client_abort(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What an open connection has until it is dropped, also if the connection's task panics.
struct OpenConnection {
    app: Arc<AppState>,
    _place: Place,
    _count: PeerCount,
    // The last: the connection that gets the permit finds the place free.
    _permit: OwnedSemaphorePermit,
}

impl OpenConnection {
    fn new(app: Arc<AppState>, place: Place, count: PeerCount, permit: OwnedSemaphorePermit) -> Self {
        app.metrics.connections_open.inc();
        Self { app, _place: place, _count: count, _permit: permit }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.app.metrics.connections_open.dec();
    }
}
