//! Connections of attackers: each from an address of its own in 127.0.0.0/8.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// An answer that takes longer is none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_HEAD: usize = 16 * 1024;

/// The address of the attacker with this number. The good client is at 127.0.0.1.
pub fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 66, (number / 250 % 250) as u8, (number % 250 + 1) as u8)
}

/// Connects from an address.
pub async fn connect(port: u16, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects and sends a GET.
pub async fn get(port: u16, from: Ipv4Addr, path: &str) -> io::Result<TcpStream> {
    let mut stream = connect(port, from).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await?;
    Ok(stream)
}

/// The head of an answer, and what was read with it.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    text: String,
    pub rest: Vec<u8>,
}

impl Head {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

/// Reads the head of an answer.
pub async fn read_head(stream: &mut TcpStream) -> io::Result<Head> {
    let read = async {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = bytes.split_off(end + 4);
                let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
                let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
                let status = status.ok_or_else(|| io::Error::other(format!("no status: {text}")))?;
                return Ok(Head { status, text, rest });
            }
            if bytes.len() > MAX_HEAD || stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    timeout(ANSWER_TIMEOUT, read).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Reads a whole answer that has a length; returns its status.
pub async fn read_answer(stream: &mut TcpStream) -> io::Result<u16> {
    let head = read_head(stream).await?;
    let length: usize = head.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut rest = vec![0; length.saturating_sub(head.rest.len())];
    timeout(ANSWER_TIMEOUT, stream.read_exact(&mut rest))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(head.status)
}

/// Reads and drops at most `bytes`; returns how many there were before the end.
pub async fn discard(stream: &mut TcpStream, bytes: usize) -> io::Result<usize> {
    let mut buffer = vec![0; bytes.min(64 * 1024)];
    let mut total = 0;
    while total < bytes {
        let part = buffer.len().min(bytes - total);
        match stream.read(&mut buffer[..part]).await? {
            0 => break,
            read => total += read,
        }
    }
    Ok(total)
}
