//! A connection to the managed server, on its Unix socket.
//!
//! Policy: the task is woken only when an answer has arrived. A task that waits for a Unix socket to become writable is woken each time the
//! other side has read from it, which is after every query, when the server should use the processor for the query. So the socket is
//! registered for writability only after a write has failed with `WouldBlock`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// The most bytes of one read: the buffer is cleared each time.
const MAX_READ: usize = 64 << 10;

/// A connected, non-blocking socket.
#[derive(Debug)]
pub(super) struct UnixSocket {
    socket: AsyncFd<UnixStream>,
    /// A second handle of the socket, registered for writability, as long as its buffer is full.
    full: Option<AsyncFd<UnixStream>>,
}

impl UnixSocket {
    /// Connects to a server.
    pub(super) async fn connect(path: &Path) -> io::Result<Self> {
        Self::new(tokio::net::UnixStream::connect(path).await?.into_std()?)
    }

    /// `stream` must be non-blocking.
    fn new(stream: UnixStream) -> io::Result<Self> {
        Ok(Self { socket: register(stream, Interest::READABLE)?, full: None })
    }
}

/// The successor of this function is unsafe, because some types may change their descriptor while it is registered. `UnixStream`
/// keeps its descriptor until it is dropped, and the returned value owns it.
#[expect(deprecated, reason = "sound for a socket of the standard library, and the crate has no unsafe code")]
fn register(stream: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(stream, interest)
}

impl AsyncRead for UnixSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled_to(buffer.remaining().min(MAX_READ));
            match self.socket.get_ref().read(room) {
                Ok(read) => {
                    // A read that did not fill the buffer has emptied the socket; readiness will be reported again.
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
                // Cleared before the write: if the socket becomes writable during it, that is reported again.
                ready!(full.poll_write_ready(cx))?.clear_ready();
            }
            match self.socket.get_ref().write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.full.is_none() {
                        let again = self.socket.get_ref().try_clone()?;
                        self.full = Some(register(again, Interest::WRITABLE)?);
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
    async fn more_bytes_than_the_kernel_buffers_arrive_complete() {
        let (mut one, mut other) = pair();
        let sent: Vec<u8> = (0..5_000_000_u32).map(|number| number as u8).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            one.write_all(&sent).await.unwrap();
            assert!(one.full.is_none(), "a socket that accepted everything is not registered for writability");
            one.shutdown().await.unwrap();
            one
        });
        let mut received = Vec::new();
        let all = timeout(Duration::from_secs(30), other.read_to_end(&mut received)).await;
        all.expect("one side was never woken").unwrap();
        assert!(received == expected);
        other.write_all(b"and back").await.unwrap();
        drop(other);
        let mut back = String::new();
        let mut one = timeout(Duration::from_secs(30), writer).await.expect("one side was never woken").unwrap();
        one.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "and back");
    }

    #[tokio::test]
    async fn short_messages_alternate_in_both_directions() {
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
    async fn writing_to_a_closed_socket_is_an_error() {
        let (mut one, other) = pair();
        drop(other);
        assert_eq!(one.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
