//! Requests of random bytes: valid ones with random changes, so that they get beyond the first line.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::appliance::Appliance;
use crate::client;
use crate::report::Check;
use crate::{Result, Scale};

const CLIENTS: usize = 32;
/// An answer that takes longer counts as an error.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_CHANGES: u64 = 6;
/// Lines at warn and above that an attack may cause, however many requests it has.
const MAX_COMPLAINTS: u64 = 5;

const SEEDS: [&str; 12] = [
    "GET /api/v1/attendance/search?id=employee-1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /api/v1/attendance/search/all?limit=3&status=Present&from=2023-01-01&to=2024-12-31 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /api/v1/attendance/search/all?limit=2&after=eyJpIjoiYSIsImQiOjEsInQiOm51bGx9 HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\n\r\n",
    "POST /api/v1/attendance/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 62\r\n\r\n{\"id\":\"g\",\"name\":\"n\",\"status\":\"Present\",\"date\":\"2024-01-01\"}\r\n",
    "POST /api/v1/attendance/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n9;x=y\r\n{\"id\":\"g\"\r\n1\r\n}\r\n0\r\nT: v\r\n\r\n",
    "HEAD /api/v1/attendance/health HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /apidocs/ HTTP/1.1\r\nHost: a\r\nAccept: text/html;q=0.9,*/*\r\nConnection: keep-alive\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /metrics HTTP/1.0\r\n\r\n",
    "GET http://a:80/readyz?x=%41%zz HTTP/1.1\r\nHost: a:80\r\nRange: bytes=0-1\r\n\r\n",
    "DELETE /api/v1/attendance/search HTTP/1.1\r\nHost: [::1]:8080\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "GET /openapi.json HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\nAuthorization: Basic eDp5\r\n\r\n",
];

/// What is inserted beside random bytes.
const TOKENS: [&[u8]; 18] = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b"\r\n\r\n",
    b" ",
    b"%00",
    b"%",
    b"\xff",
    b"\xc3\xa9",
    b"99999999999999999999",
    b"-1",
    b"0",
    b":",
    b"[[[[[[",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"HTTP/2.0",
];

/// Random numbers that a seed repeats (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit.max(1)
    }

    fn request(&mut self) -> Vec<u8> {
        let mut bytes = SEEDS[self.below(SEEDS.len() as u64) as usize].as_bytes().to_vec();
        for _ in 0..self.below(MAX_CHANGES) {
            let at = self.below(bytes.len() as u64) as usize;
            let end = (at + self.below(16) as usize).min(bytes.len());
            match self.below(7) {
                0 if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
                1 => {
                    bytes.drain(at..end);
                }
                2 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                3 => bytes.truncate(at),
                4 => {
                    let random: Vec<u8> = (0..self.below(24)).map(|_| self.below(256) as u8).collect();
                    bytes.splice(at..at, random);
                }
                5 => {
                    let other = SEEDS[self.below(SEEDS.len() as u64) as usize].as_bytes();
                    let from = self.below(other.len() as u64) as usize;
                    bytes.splice(end.., other[from..].iter().copied());
                }
                _ => {
                    bytes.splice(at..at, TOKENS[self.below(TOKENS.len() as u64) as usize].iter().copied());
                }
            }
        }
        bytes
    }
}

/// Sends requests of random bytes, each on a connection of its own.
pub async fn requests(appliance: &Appliance, scale: &Scale) -> Result<Vec<Check>> {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos() as u64;
    let before = appliance.log_size()?;
    let (port, each) = (appliance.port, scale.garbage / CLIENTS);
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let mut random = Random(seed.wrapping_add(number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        clients.spawn(async move {
            let (mut errors, mut unanswered) = (Vec::new(), 0_u64);
            for _ in 0..each {
                let request = random.request();
                match timeout(ANSWER_TIMEOUT, send(port, number, &request)).await {
                    Ok(Ok(answer)) => errors.extend(server_errors(&answer).map(|status| (status, request.clone()))),
                    // A reset: the server has closed before it had read everything.
                    Ok(Err(_)) => {}
                    Err(_) => unanswered += 1,
                }
            }
            (errors, unanswered)
        });
    }
    let (mut errors, mut unanswered) = (Vec::new(), 0);
    for (more, without) in clients.join_all().await {
        errors.extend(more);
        unanswered += without;
    }
    let log = appliance.log_since(before)?;
    let is_complaint = |line: &&str| line.contains("\"level\":\"WARN\"") || line.contains("\"level\":\"ERROR\"");
    let complaints = log.lines().filter(is_complaint).count() as u64;
    let panics = log.lines().filter(|line| line.contains("panicked")).count() as u64;
    let example = errors.first().map(|(status, request)| format!(" ({status}: {})", request.escape_ascii()));
    let name = format!("5xx among {} requests, seed {seed}", each * CLIENTS);
    let measured = format!("{}{}", errors.len(), example.unwrap_or_default());
    Ok(vec![
        Check::new(&name, measured, "0", errors.is_empty()),
        Check::at_most("connections that stay open without an answer", unanswered, 0),
        Check::at_most("panics", panics, 0),
        Check::at_most("lines at warn and above", complaints, MAX_COMPLAINTS),
    ])
}

/// Sends the bytes, ends the sending side, and returns everything that the server sends.
async fn send(port: u16, number: usize, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = client::connect(port, client::address(number)).await?;
    stream.write_all(request).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// The statuses of server errors. An unknown transfer coding or version is the client's error, although HTTP calls it 501 or 505.
fn server_errors(answer: &[u8]) -> impl Iterator<Item = u16> {
    let is_status_line = |at: &usize| answer[*at..].starts_with(b"HTTP/1.1 5");
    let starts = (0..answer.len()).filter(is_status_line);
    let status = |at: usize| std::str::from_utf8(answer.get(at + 9..at + 12)?).ok()?.parse().ok();
    starts.filter_map(status).filter(|status| ![501, 505].contains(status))
}
