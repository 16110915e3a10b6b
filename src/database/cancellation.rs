//! A connection that only asks the server to cancel a statement.
//!
//! Policy: it is closed after the server has closed it. A server has done so when it has taken the request; PgBouncer does so when it has passed the
//! request on, and forgets a request whose connection is closed before that.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection whose shutdown waits until the other side has closed it.
pub(super) struct UntilClosed(TcpStream);

impl UntilClosed {
    /// Connects to the first address of a host that accepts the connection.
    pub(super) async fn connect(host: &str, port: u16) -> io::Result<Self> {
        Ok(Self(TcpStream::connect((host, port)).await?))
    }
}

impl AsyncRead for UntilClosed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for UntilClosed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tcp = &mut self.get_mut().0;
        loop {
            let mut room = [0; 64];
            let mut buffer = ReadBuf::new(&mut room);
            // A reset is an end as well.
            let read = ready!(Pin::new(&mut *tcp).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
