//! Notices that a client has gone while it waits for the answer to a read, so that the read can be ended.
//!
//! Policy: a client may close its sending side after its request and still read the answer. Until something is sent to it, that cannot be told
//! from a client that has closed the whole connection: both have sent a FIN. So the beginning that all answers have in common ([`EARLY`])
//! is sent at once. A client that has only stopped sending sees an answer that begins early; one that has gone resets the connection.
//! A client that resets the connection by itself is noticed without that, also while the server has nothing to write to it. Only reads are
//! watched, because what a create does is not undone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Every answer begins like this; the digit of the version follows the request.
const EARLY: &[u8] = b"HTTP/1.";
/// How often a client that has stopped sending is checked. A closed socket has only one event, which has happened then.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Watches one connection.
#[derive(Debug, Default)]
pub struct DisconnectWatch {
    /// How much of [`EARLY`] has been sent; what the parser writes next begins with it.
    sent_early: usize,
    /// Runs from when the client has stopped sending.
    next_check: Option<Pin<Box<Sleep>>>,
}

impl DisconnectWatch {
    /// Checks the connection while a read is being answered, and wakes the task when it is to be checked again. `has_begun` says whether the
    /// answer is being written; if not, everything written before must have been passed to the kernel.
    ///
    /// # Errors
    /// If the client has gone.
    pub fn check(&mut self, tcp: &TcpStream, has_begun: bool, cx: &mut Context<'_>) -> io::Result<()> {
        if self.next_check.is_none() {
            let mut byte = [0];
            match tcp.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
                // Input that the parser has not read hides the end of the input.
                Poll::Pending | Poll::Ready(Ok(1..)) => return Ok(()),
                Poll::Ready(Ok(0)) => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if !has_begun && self.sent_early == 0 {
            self.sent_early = send_early(tcp)?;
        }
        let timer = self.next_check.get_or_insert_with(|| Box::pin(tokio::time::sleep(CHECK_INTERVAL)));
        while timer.as_mut().poll(cx).is_ready() {
            if let Some(error) = tcp.take_error()? {
                return Err(error);
            }
            timer.as_mut().reset(Instant::now() + CHECK_INTERVAL);
        }
        Ok(())
    }

    /// How many bytes of the answer's beginning have been sent early.
    pub fn sent_early(&self) -> usize {
        self.sent_early
    }

    /// What is left to be written of the beginning of an answer.
    ///
    /// # Errors
    /// If it does not begin like every answer.
    pub fn without_early<'a>(&self, answer: &'a [u8]) -> io::Result<&'a [u8]> {
        answer.strip_prefix(&EARLY[..self.sent_early]).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Records that the parser has written what was sent early.
    pub fn finish_early(&mut self) {
        self.sent_early = 0;
    }
}

/// Sends the beginning of the answer. If the kernel still holds earlier answers, nothing may fit.
fn send_early(tcp: &TcpStream) -> io::Result<usize> {
    match tcp.try_write(EARLY) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, client)
    }

    /// Watches until the client has gone; `None` if it is still there after some checks.
    async fn watch(server: &TcpStream, watch: &mut DisconnectWatch) -> Option<io::Error> {
        let watching = std::future::poll_fn(|cx| match watch.check(server, false, cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error),
        });
        tokio::time::timeout(10 * CHECK_INTERVAL, watching).await.ok()
    }

    #[tokio::test]
    async fn a_client_that_closed_or_reset_the_connection_has_gone() {
        for has_reset in [false, true] {
            let (server, client) = pair().await;
            if has_reset {
                client.set_zero_linger().unwrap();
            }
            drop(client);
            assert!(watch(&server, &mut DisconnectWatch::default()).await.is_some(), "{has_reset}");
        }
    }

    #[tokio::test]
    async fn a_client_that_closes_later_is_noticed() {
        let (server, client) = pair().await;
        let mut watched = DisconnectWatch::default();
        assert!(watch(&server, &mut watched).await.is_none());
        assert_eq!(watched.sent_early(), 0);
        drop(client);
        assert!(watch(&server, &mut watched).await.is_some());
    }

    #[tokio::test]
    async fn a_client_that_has_only_stopped_sending_gets_the_answer_unchanged() {
        let (mut server, client) = pair().await;
        let client = client.into_std().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut client = TcpStream::from_std(client).unwrap();
        let mut watched = DisconnectWatch::default();
        assert!(watch(&server, &mut watched).await.is_none());
        assert_eq!(watched.sent_early(), EARLY.len());
        let answer = b"HTTP/1.1 200 OK\r\n\r\n";
        server.write_all(watched.without_early(answer).unwrap()).await.unwrap();
        drop(server);
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, answer);
        assert!(watched.without_early(b"GARBAGE").is_err());
    }

    #[tokio::test]
    async fn nothing_is_sent_early_into_an_answer_that_has_begun() {
        let (server, client) = pair().await;
        let client = client.into_std().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut watched = DisconnectWatch::default();
        let checking = std::future::poll_fn(|cx| match watched.check(&server, true, cx) {
            Ok(()) => Poll::<()>::Pending,
            Err(error) => panic!("{error}"),
        });
        assert!(tokio::time::timeout(3 * CHECK_INTERVAL, checking).await.is_err());
        assert_eq!(watched.sent_early(), 0);
    }

    #[tokio::test]
    async fn unread_input_is_not_a_disconnect() {
        let (server, mut client) = pair().await;
        client.write_all(b"GET ").await.unwrap();
        server.readable().await.unwrap();
        let mut watched = DisconnectWatch::default();
        assert!(watch(&server, &mut watched).await.is_none());
        assert_eq!(watched.sent_early(), 0);
    }
}
