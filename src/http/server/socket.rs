//! A client's socket as the HTTP parser sees it. It records progress, and it completes the answers that the parser makes itself.
//!
//! Policy: every answer is JSON and has a request id. The parser itself answers a head that is too large or is not HTTP: it writes
//! a bare status line, and no request reaches the service. That one write is replaced here by a complete answer, because no other
//! place sees it.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection_state::ConnectionState;
use super::exchange;
use crate::http::error::HttpError;
use crate::http::state::AppState;

/// Up to this many bytes, the parts of an answer are copied together and written as one.
const MAX_JOINED_WRITE: usize = 1024;

/// One client connection.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    peer: SocketAddr,
    app: Arc<AppState>,
    state: Arc<ConnectionState>,
    /// The rest of the answer that is being written in place of the parser's.
    rejection: Option<Bytes>,
}

impl Socket {
    /// Wraps an accepted connection.
    pub fn new(tcp: TcpStream, peer: SocketAddr, app: Arc<AppState>, state: Arc<ConnectionState>) -> Self {
        Self { tcp, peer, app, state, rejection: None }
    }

    /// Gives the connection back for closing.
    pub fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    fn record_write(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.state.record_write(result.is_ready());
        result
    }

    /// Writes a complete answer in place of the parser's. When it is written, all of `original` counts as written.
    fn poll_reject(&mut self, cx: &mut Context<'_>, original: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let app = &self.app;
        let mut rejection = self.rejection.take().unwrap_or_else(|| {
            let head: Vec<u8> = original.iter().flat_map(|slice| slice.iter().copied()).collect();
            reject(app, self.peer, &head)
        });
        while rejection.has_remaining() {
            let result = Pin::new(&mut self.tcp).poll_write(cx, &rejection);
            let Poll::Ready(written) = self.record_write(result) else {
                self.rejection = Some(rejection);
                return Poll::Pending;
            };
            rejection.advance(written?);
        }
        Poll::Ready(Ok(original.iter().map(|slice| slice.len()).sum()))
    }
}

/// Counts the rejected request and completes the parser's head (status line and headers) with the other headers and a body.
fn reject(app: &AppState, peer: SocketAddr, head: &[u8]) -> Bytes {
    let head = String::from_utf8_lossy(head);
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(400);
    let id = app.request_ids.generate();
    let body = HttpError::rejected_head(status).body(&id);
    let kept = head.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with("content-length"));
    let mut out: String = kept.flat_map(|line| [line, "\r\n"]).collect();
    out.push_str("content-type: application/json\r\nx-content-type-options: nosniff\r\n");
    out.push_str(&format!("x-request-id: {}\r\ncontent-length: {}\r\n\r\n", &*id, body.len()));
    exchange::record_rejected_head(app, peer, status, &id);
    Bytes::from([out.as_bytes(), &body].concat())
}

/// All pieces as one, if they are at most [`MAX_JOINED_WRITE`] bytes.
fn join<'a>(pieces: &[IoSlice<'_>], whole: &'a mut [u8; MAX_JOINED_WRITE]) -> Option<&'a [u8]> {
    let mut length = 0;
    for piece in pieces {
        whole.get_mut(length..length + piece.len())?.copy_from_slice(piece);
        length += piece.len();
    }
    Some(&whole[..length])
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.tcp).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.state.record_input();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.state.is_answering() {
            return this.poll_reject(cx, &[IoSlice::new(buf)]);
        }
        let result = Pin::new(&mut this.tcp).poll_write(cx, buf);
        this.record_write(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.state.is_answering() {
            return this.poll_reject(cx, bufs);
        }
        // The kernel accepts a head and a short body faster as one piece than as two.
        let mut whole = [0; MAX_JOINED_WRITE];
        let result = match join(bufs, &mut whole) {
            Some(whole) => Pin::new(&mut this.tcp).poll_write(cx, whole),
            None => Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs),
        };
        this.record_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.tcp).poll_flush(cx))?;
        this.state.record_flush();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_pieces_are_joined() {
        let (head, body) = ([b'h'; MAX_JOINED_WRITE - 3], *b"abc");
        let mut whole = [0; MAX_JOINED_WRITE];
        let pieces = [IoSlice::new(&head), IoSlice::new(&[]), IoSlice::new(&body)];
        assert_eq!(join(&pieces, &mut whole), Some([&head[..], &body].concat().as_slice()));
        assert_eq!(join(&pieces[2..], &mut whole), Some(&body[..]));
        assert_eq!(join(&[], &mut whole), Some(&[][..]));
    }

    #[test]
    fn long_pieces_are_not_joined() {
        let (head, body) = ([b'h'; MAX_JOINED_WRITE - 3], *b"abcd");
        let mut whole = [0; MAX_JOINED_WRITE];
        assert_eq!(join(&[IoSlice::new(&head), IoSlice::new(&body)], &mut whole), None);
        assert_eq!(join(&[IoSlice::new(&[b'b'; MAX_JOINED_WRITE + 1])], &mut whole), None);
    }
}
