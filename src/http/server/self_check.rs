//! A request that the server sends to itself, to see that it answers.
//!
//! Policy: the request goes over TCP and through everything that a client's request goes through, except for the accept loop,
//! whose end is noticed elsewhere, and its permits. Its socket lives for this one request and accepts no other client.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection::{self, Shutdown};
use super::connection_state::ConnectionState;
use crate::http::route_table::LIVEZ;
use crate::http::state::AppState;

const HEADERS: &str = "host: localhost\r\nuser-agent: attendance-api-watchdog\r\nconnection: close\r\n\r\n";
const EXPECTED_STATUS_LINE: &[u8] = b"HTTP/1.1 200 ";
/// More than the answer of `/livez` has.
const MAX_ANSWER_BYTES: u64 = 4096;

/// Why the server did not answer itself.
#[derive(Debug, thiserror::Error)]
pub enum SelfCheckError {
    /// The connection could not be made or failed.
    #[error(transparent)]
    Connection(#[from] io::Error),
    /// Another process connected to the socket of the check.
    #[error("another client connected first")]
    OtherClient,
    /// There was an answer, but not the expected one.
    #[error("{LIVEZ} was not answered with 200")]
    Status,
}

/// Requests `/livez`. Sets no bound on the time; the caller does.
///
/// # Errors
/// If there is no answer, or another one than 200.
pub async fn self_check(app: Arc<AppState>) -> Result<(), SelfCheckError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, peer) = listener.accept().await?;
    if peer != client.local_addr()? {
        return Err(SelfCheckError::OtherClient);
    }
    let (_announce, shutdown) = watch::channel(Shutdown::Running);
    let serving = connection::run(server, peer, Arc::new(ConnectionState::new()), app, shutdown);
    let request = format!("GET {LIVEZ} HTTP/1.1\r\n{HEADERS}");
    let requesting = async {
        client.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        client.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let ((), answer) = tokio::join!(serving, requesting);
    if answer?.starts_with(EXPECTED_STATUS_LINE) { Ok(()) } else { Err(SelfCheckError::Status) }
}
