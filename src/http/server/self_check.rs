//! A request of the server's own, to see that it answers.
//!
//! Policy: over TCP and through all that a client's request goes through, but for the accept loop, whose end is noticed
//! otherwise, and its permits. The socket for it lives for this one request and takes no other client.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection::{self, Shutdown};
use crate::http::state::AppState;

const REQUEST: &[u8] =
    b"GET /livez HTTP/1.1\r\nhost: localhost\r\nuser-agent: attendance-api-watchdog\r\nconnection: close\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 ";
/// More than `/livez` answers.
const MAX_ANSWER_BYTES: u64 = 4096;

/// Asks whether the process lives; the caller sets the bound.
///
/// # Errors
/// What is wrong, for the log.
pub async fn self_check(app: Arc<AppState>) -> Result<(), String> {
    ask(app).await.map_err(|error| error.to_string())
}

async fn ask(app: Arc<AppState>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, peer) = listener.accept().await?;
    if peer != client.local_addr()? {
        return Err(io::Error::other("somebody else connected first"));
    }
    let (_stop, stopped) = watch::channel(Shutdown::Running);
    let answering = connection::run(server, peer, app, stopped);
    let asking = async {
        client.write_all(REQUEST).await?;
        let mut answer = Vec::new();
        client.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let ((), answer) = tokio::join!(answering, asking);
    if answer?.starts_with(ANSWER) { Ok(()) } else { Err(io::Error::other("/livez was not answered with 200")) }
}
