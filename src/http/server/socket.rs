//! A client's socket as the HTTP parser sees it: it notes progress, and completes the parser's own answers.
//!
//! The parser answers a head that is not HTTP, or too large, by itself: a bare status line before any request has
//! reached us. Clients are promised JSON and a request id in every answer, so that one write is completed here. This
//! is the only place that sees it.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection_state::ConnectionState;
use crate::http::error::HttpError;
use crate::http::exchange;
use crate::http::state::AppState;

/// What is copied together rather than written in pieces, in bytes.
const MAX_JOINED_WRITE: usize = 1024;

/// One client connection.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    peer: SocketAddr,
    app: Arc<AppState>,
    connection: Arc<ConnectionState>,
    /// What is being written in place of the parser's own answer.
    refusal: Option<Bytes>,
}

impl Socket {
    /// Wraps an accepted connection.
    pub fn new(tcp: TcpStream, peer: SocketAddr, app: Arc<AppState>, connection: Arc<ConnectionState>) -> Self {
        Self { tcp, peer, app, connection, refusal: None }
    }

    /// The bare connection.
    pub fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    fn written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.connection.wrote(result.is_ready());
        result
    }

    /// Writes our refusal for the parser's; all of `theirs` counts as written at the end of it.
    fn poll_refuse(&mut self, cx: &mut Context<'_>, theirs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let app = &self.app;
        let mut refusal = self.refusal.take().unwrap_or_else(|| {
            let head: Vec<u8> = theirs.iter().flat_map(|slice| slice.iter().copied()).collect();
            refusal(app, self.peer, &head)
        });
        while refusal.has_remaining() {
            let result = Pin::new(&mut self.tcp).poll_write(cx, &refusal);
            let Poll::Ready(written) = self.written(result) else {
                self.refusal = Some(refusal);
                return Poll::Pending;
            };
            refusal.advance(written?);
        }
        Poll::Ready(Ok(theirs.iter().map(|slice| slice.len()).sum()))
    }
}

/// The parser's head (status line and headers) with our headers and body.
fn refusal(app: &AppState, peer: SocketAddr, head: &[u8]) -> Bytes {
    let head = String::from_utf8_lossy(head);
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(400);
    let id = app.ids.fresh();
    let body = HttpError::of_head(status).body(&id);
    let kept = head.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with("content-length"));
    let mut out: String = kept.flat_map(|line| [line, "\r\n"]).collect();
    out.push_str("content-type: application/json\r\nx-content-type-options: nosniff\r\n");
    out.push_str(&format!("x-request-id: {}\r\ncontent-length: {}\r\n\r\n", &*id, body.len()));
    exchange::refused(app, peer, status, &id);
    Bytes::from([out.as_bytes(), &body].concat())
}

/// All pieces as one, if they fit.
fn joined<'a>(pieces: &[IoSlice<'_>], whole: &'a mut [u8; MAX_JOINED_WRITE]) -> Option<&'a [u8]> {
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
            this.connection.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.connection.is_answering() {
            return this.poll_refuse(cx, &[IoSlice::new(buf)]);
        }
        let result = Pin::new(&mut this.tcp).poll_write(cx, buf);
        this.written(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.connection.is_answering() {
            return this.poll_refuse(cx, bufs);
        }
        // A head and a short body as one piece: the kernel takes that faster than two.
        let mut whole = [0; MAX_JOINED_WRITE];
        let result = match joined(bufs, &mut whole) {
            Some(whole) => Pin::new(&mut this.tcp).poll_write(cx, whole),
            None => Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs),
        };
        this.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.tcp).poll_flush(cx))?;
        this.connection.flushed();
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
    fn pieces_that_fit_become_one() {
        let (head, body) = ([b'h'; MAX_JOINED_WRITE - 3], *b"abc");
        let mut whole = [0; MAX_JOINED_WRITE];
        let pieces = [IoSlice::new(&head), IoSlice::new(&[]), IoSlice::new(&body)];
        assert_eq!(joined(&pieces, &mut whole), Some([&head[..], &body].concat().as_slice()));
        assert_eq!(joined(&pieces[2..], &mut whole), Some(&body[..]));
        assert_eq!(joined(&[], &mut whole), Some(&[][..]));
    }

    #[test]
    fn pieces_that_do_not_fit_stay_as_they_are() {
        let (head, body) = ([b'h'; MAX_JOINED_WRITE - 3], *b"abcd");
        let mut whole = [0; MAX_JOINED_WRITE];
        assert_eq!(joined(&[IoSlice::new(&head), IoSlice::new(&body)], &mut whole), None);
        assert_eq!(joined(&[IoSlice::new(&[b'b'; MAX_JOINED_WRITE + 1])], &mut whole), None);
    }
}
