//! A connection to the managed server, on its Unix socket.
//!
//! Policy: woken by answers only. Whoever waits until a Unix socket takes bytes is woken each time the other side has read some; that
//! is after every question, when the server should be at work on it and not at waking us. So nobody waits for it until the socket
//! has refused a byte.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// Read at once at the most: the room for it is cleared each time.
const PIECE: usize = 64 << 10;

/// The socket.
#[derive(Debug)]
pub(super) struct UnixSocket {
    socket: AsyncFd<UnixStream>,
    /// The same socket again, as long as it takes no bytes.
    full: Option<AsyncFd<UnixStream>>,
}

impl UnixSocket {
    /// Connects to a server.
    pub(super) async fn connect(path: &Path) -> io::Result<Self> {
        Self::new(tokio::net::UnixStream::connect(path).await?.into_std()?)
    }

    /// For a socket that does not block.
    fn new(stream: UnixStream) -> io::Result<Self> {
        Ok(Self { socket: watched(stream, Interest::READABLE)?, full: None })
    }
}

/// The successor of this function is unsafe code, because some types change their descriptor under it. This one keeps it until it
/// is dropped, and whoever watches it owns it.
#[expect(deprecated, reason = "sound for a socket of the standard library, and the crate has no unsafe code")]
fn watched(stream: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(stream, interest)
}

impl AsyncRead for UnixSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled_to(buffer.remaining().min(PIECE));
            match self.socket.get_ref().read(room) {
                Ok(read) => {
                    // Less than there was room for is all there was; what comes from here on is told of again.
                    if read > 0 && read < room.len() {
                        ready.clear_ready();
                    }
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for UnixSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            if let Some(full) = &self.full {
                // Forgotten before the attempt: a place that becomes free during it is told of again.
                ready!(full.poll_write_ready(cx))?.clear_ready();
            }
            match self.socket.get_ref().write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.full.is_none() {
                        let again = self.socket.get_ref().try_clone()?;
                        self.full = Some(watched(again, Interest::WRITABLE)?);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => {
                    self.full = None;
                    return Poll::Ready(outcome);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    fn pair() -> (UnixSocket, UnixSocket) {
        let (one, other) = UnixStream::pair().unwrap();
        let side = |stream: UnixStream| {
            stream.set_nonblocking(true).unwrap();
            UnixSocket::new(stream).unwrap()
        };
        (side(one), side(other))
    }

    #[tokio::test]
    async fn more_than_the_kernel_holds_arrives_whole() {
        let (mut one, mut other) = pair();
        let sent: Vec<u8> = (0..5_000_000_u32).map(|number| number as u8).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            one.write_all(&sent).await.unwrap();
            assert!(one.full.is_none(), "nobody waits for a socket that took everything");
            one.shutdown().await.unwrap();
            one
        });
        let mut received = Vec::new();
        let all = timeout(Duration::from_secs(30), other.read_to_end(&mut received)).await;
        all.expect("a side that is never woken").unwrap();
        assert!(received == expected);
        other.write_all(b"and back").await.unwrap();
        drop(other);
        let mut back = String::new();
        let mut one = timeout(Duration::from_secs(30), writer).await.expect("a side that is never woken").unwrap();
        one.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "and back");
    }

    #[tokio::test]
    async fn questions_and_answers_go_to_and_fro() {
        let (mut one, mut other) = pair();
        let echo = tokio::spawn(async move {
            let mut bytes = [0; 16];
            loop {
                match other.read(&mut bytes).await.unwrap() {
                    0 => break,
                    read => other.write_all(&bytes[..read]).await.unwrap(),
                }
            }
        });
        for round in 0..1000_u32 {
            one.write_all(&round.to_le_bytes()).await.unwrap();
            assert_eq!(one.read_u32_le().await.unwrap(), round);
        }
        drop(one);
        echo.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_has_gone_is_an_error_for_the_writer() {
        let (mut one, other) = pair();
        drop(other);
        assert_eq!(one.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
