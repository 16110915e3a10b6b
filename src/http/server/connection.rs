//! One client connection, from accept to close.
//!
//! Policy: one timer a connection watches whatever is due (`connection.rs`). It is set later only when it has rung: a request
//! normally costs no timer operation. A connection ends in one of three ways: the protocol's own end, a client
//! that is overdue (a stalled one is reset, so that the kernel does not keep its data), or the server's stop. A client that has
//! only stopped sending still gets its answer, and one that has gone does not undo a create half-way.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::connection_state::{ConnectionState, Overdue};
use super::repoll::RepollOnWake;
use super::socket::Socket;
use crate::config;
use crate::http::exchange::RequestService;
use crate::http::state::AppState;

/// Smallest buffer the parser accepts.
const MIN_PARSER_BUFFER: usize = 8192;
/// A client that is still sending after its answer gets this long to read the answer.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// And it may send this much.
const MAX_LINGER_BYTES: usize = 16 << 20;

/// Where the socket stays, a connection is closed when it has been quiet for so long: a request that was on its way has come
/// by then.
const QUIET_GRACE: Duration = Duration::from_millis(500);

/// What open connections are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// The server is running: connections stay open.
    Running,
    /// Finish the request at hand, then close.
    Draining,
    /// Close at once.
    Forced,
}

enum End {
    /// As HTTP ends: the answer is written, or the client has gone.
    Protocol(Result<(), hyper::Error>),
    Overdue(Overdue),
    Stopped,
}

/// Serves one connection to its end.
pub async fn run(tcp: TcpStream, peer: SocketAddr, app: Arc<AppState>, mut stop: watch::Receiver<Shutdown>) {
    let limits = app.limits();
    let connection = Arc::new(ConnectionState::new());
    let socket = Socket::new(tcp, peer, Arc::clone(&app), Arc::clone(&connection));
    let exchanges = RequestService::new(Arc::clone(&app), peer, Arc::clone(&connection));
    let mut conn = http1::Builder::new()
        .header_read_timeout(None)
        .half_close(true)
        .max_header_size(limits.max_head)
        .max_buf_size(limits.max_head.max(MIN_PARSER_BUFFER))
        .serve_connection(TokioIo::new(socket), exchanges);
    let mut watch = TimeoutTimer { limits: &limits, connection: &connection, timer: None, set: None };
    let turns = RepollOnWake::new();
    let told = stop.clone();
    let end = tokio::select! {
        biased;
        end = drive(&mut conn, &turns, &mut watch) => end,
        () = once(ordered(&mut stop, |order| order != Shutdown::Running), || told.has_changed().unwrap_or(true)) => {
            // In a box, like the close: an open connection does not hold the room for its end.
            Box::pin(drain(&mut conn, &turns, &mut watch, &mut stop, app.socket_stays)).await
        }
    };
    Box::pin(close(conn.into_parts().io.into_inner().into_tcp(), &connection, end)).await;
}

/// Serves until HTTP has come to its end or the client is overdue.
async fn drive(
    conn: &mut http1::Connection<TokioIo<Socket>, RequestService>,
    turns: &RepollOnWake,
    watch: &mut TimeoutTimer<'_>,
) -> End {
    tokio::select! {
        biased;
        end = poll_fn(|cx| turns.poll(cx, |cx| conn.poll_without_shutdown(cx))) => End::Protocol(end),
        overdue = poll_fn(|cx| watch.poll(cx)) => End::Overdue(overdue),
    }
}

/// Ends a connection of a stopping server: an idle one at once, one with a request after its answer. Where the socket stays, no
/// request is to be lost: a client that got no `Connection: close` may be sending one just now.
async fn drain(
    conn: &mut http1::Connection<TokioIo<Socket>, RequestService>,
    turns: &RepollOnWake,
    watch: &mut TimeoutTimer<'_>,
    stop: &mut watch::Receiver<Shutdown>,
    socket_stays: bool,
) -> End {
    while socket_stays && !watch.connection.is_quiet(QUIET_GRACE) {
        tokio::select! {
            biased;
            end = drive(conn, turns, watch) => return end,
            () = ordered(stop, |order| order == Shutdown::Forced) => return End::Stopped,
            () = tokio::time::sleep(QUIET_GRACE) => {}
        }
    }
    Pin::new(&mut *conn).graceful_shutdown();
    tokio::select! {
        biased;
        end = drive(conn, turns, watch) => end,
        () = ordered(stop, |order| order == Shutdown::Forced) => End::Stopped,
    }
}

/// Waits for an order; a server that is gone has given all of them.
async fn ordered(stop: &mut watch::Receiver<Shutdown>, which: impl Fn(Shutdown) -> bool) {
    let _ = stop.wait_for(|order| which(*order)).await;
}

/// Asks `future` when it is first polled, and then only after `changed`: it wakes this task before that is true. To ask it at each
/// turn of a connection would cost a lock.
async fn once(future: impl Future<Output = ()>, changed: impl Fn() -> bool) {
    let mut future = std::pin::pin!(future);
    let mut asked = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut asked, true) && !changed() {
            return Poll::Pending;
        }
        future.as_mut().poll(cx)
    })
    .await;
}

async fn close(mut tcp: TcpStream, connection: &ConnectionState, end: End) {
    match end {
        End::Protocol(ended) => {
            let refused = ended.as_ref().is_err_and(hyper::Error::is_parse);
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
            if tcp.shutdown().await.is_ok() && (refused || connection.is_unread()) {
                linger(&tcp).await;
            }
        }
        End::Overdue(overdue) => {
            tracing::debug!(?overdue, "a client was too slow and was cut off");
            if overdue == Overdue::Write {
                // If it fails, the kernel gives the data up later.
                let _ = tcp.set_zero_linger();
            }
        }
        End::Stopped => {}
    }
}

/// Reads away what a client still sends: closing at once would reset the connection and could destroy the
/// answer before the client has read it.
async fn linger(tcp: &TcpStream) {
    let drain = async {
        let mut waste = [0; 2048];
        let mut left = MAX_LINGER_BYTES;
        while left > 0 && tcp.readable().await.is_ok() {
            match tcp.try_read(&mut waste) {
                Ok(0) => break,
                Ok(read) => left = left.saturating_sub(read),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    };
    // Past the time the connection is closed as it is.
    let _ = tokio::time::timeout(LINGER_TIMEOUT, drain).await;
}

/// The connection's one timer.
struct TimeoutTimer<'a> {
    limits: &'a config::Server,
    connection: &'a ConnectionState,
    timer: Option<Pin<Box<Sleep>>>,
    /// The deadline it has been polled for.
    set: Option<Instant>,
}

impl TimeoutTimer<'_> {
    /// Ready when something is overdue. Polled whenever the connection has done something, so that it sees every change.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Overdue> {
        loop {
            let Some((due, overdue)) = self.connection.due(self.limits) else { return Poll::Pending };
            let due = Instant::from_std(due);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if timer.deadline() > due {
                timer.as_mut().reset(due);
                self.set = None;
            }
            // It wakes this task by itself once it has been polled.
            if self.set == Some(timer.deadline()) && !timer.is_elapsed() {
                return Poll::Pending;
            }
            if timer.as_mut().poll(cx).is_pending() {
                self.set = Some(timer.deadline());
                return Poll::Pending;
            }
            if due <= Instant::now() {
                return Poll::Ready(overdue);
            }
            // It rang for a wait that has ended since.
            timer.as_mut().reset(due);
        }
    }
}
