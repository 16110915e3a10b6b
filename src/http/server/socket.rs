//! A client's socket as the HTTP parser sees it. It records progress, follows the framing of the input, and withholds the answers that
//! the parser makes itself.
//!
//! Policy: every answer is JSON and has a request id. The parser itself answers a head that is too large or is not HTTP: it writes a bare
//! head, and no request reaches the service. That one write is withheld, and the connection sends a complete answer in its place
//! (`rejection.rs`). A chunk that is larger than a body may be ends the reading at once, because its data may never come.
//!
//! What a client does not read stays in the kernel, whose buffer for one connection grows to megabytes. So the kernel accepts more only when
//! it has sent what it has: at most one segment, of 64 KiB at most, is unsent. What is on its way to the client is not limited by that, so neither is
//! the rate of a client that reads.
//!
//! A slow client must be seen to read. Its kernel says so when it has freed a buffer, and joins up to 17 segments in one buffer: large ones, as on the loopback
//! interface and between containers, to 128 KiB and more, which a client that reads 5 KB/s needs half a minute for. So a client gets small segments
//! until it has proved to be fast, and again after it has been slow. An answer of up to 16 KiB to a request that has come since the last write is sent
//! whole: a client that reads has taken the answer before it, so that there is nothing to join it to. A short answer is always a segment of its own, so
//! that many of them do not become one behind others that the client has no memory for.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::socket::MsgFlags;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::connection_state::ConnectionState;
use super::disconnect::DisconnectWatch;
use super::framing::Framing;

/// Up to this many bytes, the parts of an answer are copied together and written as one.
const MAX_JOINED_WRITE: usize = 1024;

/// The kernel accepts a further segment when fewer bytes than this have not been sent, that is, none. A segment has up to 64 KiB.
const UNSENT_LOW_WATER: u32 = 1;
/// The size of a small segment.
const SMALL_SEGMENT: usize = 2048;
/// Up to this many bytes, an answer to a new request is sent whole, to any client. One that reads 5 KB/s needs three seconds for it.
const MAX_WHOLE_ANSWER: usize = 16 * 1024;
/// A client is fast when it has taken this many bytes without a pause of [`SLOW_PAUSE`].
const PROBATION: usize = 256 * 1024;
/// A client that takes nothing for this time is slow.
const SLOW_PAUSE: Duration = Duration::from_secs(1);

/// One client connection.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    state: Arc<ConnectionState>,
    framing: Framing,
    disconnect: DisconnectWatch,
    /// What the parser wrote in answer to a head that it rejected.
    parser_answer: Option<Vec<u8>>,
    /// How much the client has to take until it is fast.
    unproven: usize,
    /// Whether the client has sent something since the last write.
    has_new_input: bool,
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
        // These fail only if the connection is already closed; reading from it reports that.
        let _ = tcp.set_nodelay(true);
        let _ = SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT_LOW_WATER);
        Self {
            tcp,
            state,
            framing: Framing::new(max_chunk),
            disconnect: DisconnectWatch::default(),
            parser_answer: None,
            unproven: PROBATION,
            has_new_input: false,
        }
    }

    /// Gives the connection back for closing.
    pub fn into_parts(self) -> SocketParts {
        SocketParts { tcp: self.tcp, framing: self.framing, parser_answer: self.parser_answer }
    }

    fn record_write(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(accepted)) => {
                self.has_new_input = false;
                self.unproven = self.unproven.saturating_sub(*accepted);
                if self.state.record_accepted(*accepted) >= SLOW_PAUSE {
                    self.unproven = PROBATION;
                }
            }
            // The error ends the connection.
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.state.record_stall(),
        }
        result
    }

    /// Records that an answer is being written. Returns whether its beginning has been sent early.
    fn begin_answer(&mut self) -> bool {
        self.state.begin_answer();
        self.disconnect.sent_early() > 0
    }

    /// Writes the beginning of an answer without what was sent early.
    fn poll_write_rest(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let rest = self.disconnect.without_early(buf)?;
        let written = ready!(self.poll_write_pieces(cx, &[IoSlice::new(rest)]))?;
        let sent_early = self.disconnect.sent_early();
        self.disconnect.finish_early();
        Poll::Ready(Ok(sent_early + written))
    }

    /// Writes as a segment of its own, whatever is written next.
    fn poll_write_segment(&mut self, cx: &mut Context<'_>, segment: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(cx))?;
            // The end of a record keeps the kernel from adding to this segment.
            let send = || SockRef::from(&self.tcp).send_with_flags(segment, MsgFlags::MSG_EOR.bits());
            match self.tcp.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_write_pieces(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let is_whole_answer = self.has_new_input && length <= MAX_WHOLE_ANSWER;
        if length <= MAX_JOINED_WRITE {
            // The kernel accepts a head and a short body faster as one piece than as two.
            self.poll_write_segment(cx, gather(pieces, &mut [0; MAX_JOINED_WRITE]))
        } else if self.unproven > 0 && !is_whole_answer {
            self.poll_write_segment(cx, gather(pieces, &mut [0; SMALL_SEGMENT]))
        } else {
            Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces)
        }
    }

    /// Withholds what the parser writes; to the parser it is written.
    fn withhold(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let answer = self.parser_answer.get_or_insert_default();
        let before = answer.len();
        pieces.iter().for_each(|piece| answer.extend_from_slice(piece));
        Poll::Ready(Ok(answer.len() - before))
    }
}

/// As much of the pieces as there is room for.
fn gather<'a>(pieces: &[IoSlice<'_>], room: &'a mut [u8]) -> &'a [u8] {
    let mut length = 0;
    for piece in pieces {
        let part = piece.len().min(room.len() - length);
        room[length..length + part].copy_from_slice(&piece[..part]);
        length += part;
    }
    &room[..length]
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
            this.has_new_input = true;
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
        let result = if this.begin_answer() {
            this.poll_write_rest(cx, buf)
        } else {
            this.poll_write_pieces(cx, &[IoSlice::new(buf)])
        };
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
        let result = if this.begin_answer() {
            // The first piece is the head.
            this.poll_write_rest(cx, bufs.first().map_or(&[], |head| head))
        } else {
            this.poll_write_pieces(cx, bufs)
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
        // The parser flushes with each poll, and only when it has passed everything on.
        if let Some(has_begun) = this.state.cancellable() {
            this.disconnect.check(&this.tcp, has_begun, cx)?;
        }
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
    fn a_segment_is_the_beginning_of_the_pieces() {
        let pieces = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defgh"), IoSlice::new(b"i")];
        assert_eq!(gather(&pieces, &mut [0; 5]), b"abcde");
        assert_eq!(gather(&pieces, &mut [0; 9]), b"abcdefghi");
        assert_eq!(gather(&pieces, &mut [0; 20]), b"abcdefghi");
        assert_eq!(gather(&pieces, &mut [0; 0]), b"");
    }
}
