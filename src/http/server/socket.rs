//! A client's socket as the HTTP parser sees it. It records progress, follows the framing of the input, and withholds the answers that
//! the parser makes itself.
//!
//! Policy: every answer is JSON and has a request id. The parser itself answers a head that is too large or is not HTTP: it writes a bare
//! head, and no request reaches the service. That one write is withheld, and the connection sends a complete answer in its place
//! (`rejection.rs`). A chunk that is larger than a body may be ends the reading at once, because its data may never come.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection_state::ConnectionState;
use super::framing::Framing;

/// Up to this many bytes, the parts of an answer are copied together and written as one.
const MAX_JOINED_WRITE: usize = 1024;

/// One client connection.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    state: Arc<ConnectionState>,
    framing: Framing,
    /// What the parser wrote in answer to a head that it rejected.
    parser_answer: Option<Vec<u8>>,
}

/// What is left of a socket when its connection has ended.
#[derive(Debug)]
pub struct SocketParts {
    /// The connection, for closing.
    pub tcp: TcpStream,
    /// The framing of the input.
    pub framing: Framing,
    /// What the parser wrote in answer to a head that it rejected. It has not been sent.
    pub parser_answer: Option<Vec<u8>>,
}

impl Socket {
    /// Wraps an accepted connection, on which a chunk of a body may have at most `max_chunk` bytes.
    pub fn new(tcp: TcpStream, state: Arc<ConnectionState>, max_chunk: u64) -> Self {
        Self { tcp, state, framing: Framing::new(max_chunk), parser_answer: None }
    }

    /// Gives the connection back for closing.
    pub fn into_parts(self) -> SocketParts {
        SocketParts { tcp: self.tcp, framing: self.framing, parser_answer: self.parser_answer }
    }

    fn record_write(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.state.record_write(result.is_ready());
        result
    }

    /// Withholds what the parser writes; to the parser it is written.
    fn withhold(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let answer = self.parser_answer.get_or_insert_default();
        let before = answer.len();
        pieces.iter().for_each(|piece| answer.extend_from_slice(piece));
        Poll::Ready(Ok(answer.len() - before))
    }
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
        if this.framing.has_oversized_chunk() {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.tcp).poll_read(cx, buf))?;
        let input = &buf.filled()[before..];
        if !input.is_empty() {
            this.state.record_input();
            this.framing.follow(input);
            // After an oversized chunk nothing more is read, and the body ends with the error of the next read.
            if this.framing.is_lost() && !this.framing.has_oversized_chunk() {
                this.state.lose_framing();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.state.is_answering() {
            return this.withhold(&[IoSlice::new(buf)]);
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
            return this.withhold(bufs);
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
