//! One client connection, from accept to close.
//!
//! Policy: a connection ends in one of three ways: as the HTTP protocol ends it, because the client is overdue or its place is
//! needed (a client that does not read is reset, so that the kernel does not keep its data), or because the server stops. A client that
//! has only stopped sending still gets its answer. A client that disconnects ends its read (`disconnect.rs`); during a create it
//! does not undo that.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use nix::sys::socket::MsgFlags;
use socket2::SockRef;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::connection_state::ConnectionState;
use super::overdue::Overdue;
use super::rejection;
use super::repoll::RepollOnWake;
use super::request_service::RequestService;
use super::socket::{Socket, SocketParts};
use super::timeout_timer::TimeoutTimer;
use crate::http::state::AppState;

/// The smallest buffer that the parser accepts, in bytes.
const MIN_PARSER_BUFFER: usize = 8192;
/// How long a client that is still sending after its answer may take to read the answer.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// How many bytes such a client may send until the connection is closed.
const MAX_LINGER_BYTES: usize = 16 << 20;
/// If the socket outlives the process, a draining server closes a connection that has been quiet for this long: a request
/// that was on its way has arrived by then.
const QUIET_GRACE: Duration = Duration::from_millis(500);

/// What the server signals to open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// The server is running: connections stay open.
    Running,
    /// Finish the request in flight, then close.
    Draining,
    /// Close at once.
    Forced,
}

/// Why a connection ended.
enum End {
    /// The protocol ended it: the answer is written, or the client has disconnected.
    Protocol(Result<(), hyper::Error>),
    /// The client exceeded a limit, or its place is needed.
    Overdue(Overdue),
    /// The server stopped.
    Forced,
}

type HttpConnection = http1::Connection<TokioIo<Socket>, RequestService>;

/// Serves one connection until it is closed.
pub async fn run(
    tcp: TcpStream,
    peer: SocketAddr,
    state: Arc<ConnectionState>,
    app: Arc<AppState>,
    mut shutdown: watch::Receiver<Shutdown>,
) {
    poll_fn(|cx| {
        state.set_waker(cx.waker());
        Poll::Ready(())
    })
    .await;
    let limits = app.limits();
    let socket = Socket::new(tcp, Arc::clone(&state), limits.max_body as u64);
    let service = RequestService::new(Arc::clone(&app), peer, Arc::clone(&limits), Arc::clone(&state));
    let mut conn = http1::Builder::new()
        .header_read_timeout(None)
        .half_close(true)
        .max_header_size(limits.max_head)
        .max_buf_size(limits.max_head.max(MIN_PARSER_BUFFER))
        .serve_connection(TokioIo::new(socket), service);
    let mut timer = TimeoutTimer::new(&limits, &state);
    let repoll = RepollOnWake::new();
    let changes = shutdown.clone();
    let end = tokio::select! {
        biased;
        end = drive(&mut conn, &repoll, &mut timer) => end,
        () = poll_when_changed(wait_for(&mut shutdown, |phase| phase != Shutdown::Running), || changes.has_changed().unwrap_or(true)) => {
            // Boxed, like `close`, so that an open connection does not reserve memory for its end.
            Box::pin(drain(&mut conn, &repoll, &mut timer, &state, &mut shutdown, app.socket_outlives_process)).await
        }
    };
    Box::pin(async {
        // Closing may take a second, during which the parser's buffers are not needed.
        let tcp = reject(conn, &end, &app, peer).await;
        if let End::Overdue(overdue) = &end {
            app.metrics.connections_closed.with_label_values(&[overdue.as_str()]).inc();
        }
        close(tcp, &state, end).await;
    })
    .await;
}

/// Gives back the connection for closing. A client whose request the parser has rejected gets an answer before.
async fn reject(conn: HttpConnection, end: &End, app: &AppState, peer: SocketAddr) -> TcpStream {
    let parts = conn.into_parts();
    let SocketParts { mut tcp, framing, parser_answer } = parts.io.into_inner().into_parts();
    if let End::Protocol(Err(error)) = end
        && let Some(answer) = rejection::answer(app, peer, error, parser_answer.as_deref(), &parts.read_buf, &framing)
    {
        // If the client does not read it, the connection is closed as it is.
        let _ = tokio::time::timeout(LINGER_TIMEOUT, tcp.write_all(&answer)).await;
    }
    tcp
}

/// Serves until the protocol ends the connection or the client is overdue.
async fn drive(conn: &mut HttpConnection, repoll: &RepollOnWake, timer: &mut TimeoutTimer<'_>) -> End {
    tokio::select! {
        biased;
        end = poll_fn(|cx| repoll.poll(cx, |cx| conn.poll_without_shutdown(cx))) => End::Protocol(end),
        overdue = poll_fn(|cx| timer.poll(cx)) => End::Overdue(overdue),
    }
}

/// Ends a connection of a stopping server: at once if it is idle, otherwise after the answer to its request. If the socket
/// outlives the process, no request may be lost: a client that has not received `Connection: close` may be sending one at this
/// moment, so the connection first has to be quiet for a while.
async fn drain(
    conn: &mut HttpConnection,
    repoll: &RepollOnWake,
    timer: &mut TimeoutTimer<'_>,
    state: &ConnectionState,
    shutdown: &mut watch::Receiver<Shutdown>,
    socket_outlives_process: bool,
) -> End {
    while socket_outlives_process && !state.is_quiet(QUIET_GRACE) {
        tokio::select! {
            biased;
            end = drive(conn, repoll, timer) => return end,
            () = wait_for(shutdown, |phase| phase == Shutdown::Forced) => return End::Forced,
            () = tokio::time::sleep(QUIET_GRACE) => {}
        }
    }
    Pin::new(&mut *conn).graceful_shutdown();
    tokio::select! {
        biased;
        end = drive(conn, repoll, timer) => end,
        () = wait_for(shutdown, |phase| phase == Shutdown::Forced) => End::Forced,
    }
}

/// Waits for a phase of the shutdown. A server that no longer exists counts as being in every phase.
async fn wait_for(shutdown: &mut watch::Receiver<Shutdown>, phase: impl Fn(Shutdown) -> bool) {
    let _ = shutdown.wait_for(|current| phase(*current)).await;
}

/// Polls `future` once, and after that only when `has_changed` says so; the future must wake this task before that becomes true.
/// Polling it with every poll of the connection would take a lock each time.
async fn poll_when_changed(future: impl Future<Output = ()>, has_changed: impl Fn() -> bool) {
    let mut future = pin!(future);
    let mut was_polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut was_polled, true) && !has_changed() {
            return Poll::Pending;
        }
        future.as_mut().poll(cx)
    })
    .await;
}

async fn close(mut tcp: TcpStream, state: &ConnectionState, end: End) {
    match end {
        End::Protocol(result) => {
            let is_rejected = result.as_ref().is_err_and(hyper::Error::is_parse);
            if let Err(error) = result {
                tracing::debug!(%error, "a connection ended early");
            }
            if tcp.shutdown().await.is_ok() && (is_rejected || state.has_unread_input()) {
                linger(&tcp).await;
            }
        }
        End::Overdue(overdue) => {
            tracing::debug!(reason = overdue.as_str(), "a connection was closed");
            if overdue.leaves_unread_output() {
                // If this fails, the kernel gives the data up later.
                let _ = tcp.set_zero_linger();
            }
        }
        End::Forced => {}
    }
}

thread_local! {
    /// How much is discarded at once is the size of a buffer, which the kernel does not write to. One for each thread, whose memory is never used.
    static DISCARDED: RefCell<Vec<MaybeUninit<u8>>> = RefCell::new(vec![MaybeUninit::uninit(); 1 << 20]);
}

/// Discards what the client still sends. Closing at once would reset the connection and could destroy the answer before the client has read it. Attackers may
/// make thousands of connections end at once, so the kernel discards everything that it has in one call, and without copying it.
async fn linger(tcp: &TcpStream) {
    let discard = async {
        let mut remaining = MAX_LINGER_BYTES;
        while remaining > 0 && tcp.readable().await.is_ok() {
            match tcp.try_io(Interest::READABLE, || discard_input(tcp)) {
                Ok(0) => break,
                Ok(discarded) => remaining = remaining.saturating_sub(discarded),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    };
    // After the timeout the connection is closed as it is.
    let _ = tokio::time::timeout(LINGER_TIMEOUT, discard).await;
}

/// Discards input that has arrived; returns how many bytes, 0 at its end.
fn discard_input(tcp: &TcpStream) -> io::Result<usize> {
    DISCARDED.with_borrow_mut(|buffer| SockRef::from(tcp).recv_with_flags(buffer, MsgFlags::MSG_TRUNC.bits()))
}
