//! A small blocking HTTP/1.1 client that shows exactly which bytes were sent and received.
//!
//! Policy: no retries, no redirects, no content decoding. Each read and write has a timeout, so that a server that hangs
//! fails the test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// Of each connect, read and write.
const IO_TIMEOUT: Duration = Duration::from_secs(30);

/// A request to send.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    chunked: bool,
}

impl Request {
    /// A request without a body.
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: None, chunked: false }
    }

    /// A `GET` request.
    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A `POST` request with a JSON body.
    pub(crate) fn post_json(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).header("Content-Type", "application/json").body(body)
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body, sent with `Content-Length`.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends the body with `Transfer-Encoding: chunked`.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: attendance.test\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match &self.body {
            Some(_) if self.chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Some(body) => head.push_str(&format!("Content-Length: {}\r\n", body.len())),
            None => {}
        }
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        self.append_body(&mut bytes);
        bytes
    }

    fn append_body(&self, bytes: &mut Vec<u8>) {
        let Some(body) = &self.body else { return };
        if !self.chunked {
            bytes.extend_from_slice(body);
            return;
        }
        for chunk in body.chunks(7_000) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
    }
}

/// A received answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The headers in order; names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON: {error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Fails unless the status is `status`; returns itself.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, String::from_utf8_lossy(&self.body));
        self
    }
}

/// A keep-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects; reads and writes have [`IO_TIMEOUT`].
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        Self::with_timeouts(TcpStream::connect_timeout(&address, IO_TIMEOUT)?)
    }

    /// Connects from another address of the loopback network.
    pub(crate) fn open_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&address.into(), IO_TIMEOUT)?;
        Self::with_timeouts(socket.into())
    }

    /// Connects with a receive buffer of this size.
    pub(crate) fn open_with_buffer(address: SocketAddr, bytes: usize) -> io::Result<Self> {
        Self::open_from_with_buffer(Ipv4Addr::UNSPECIFIED, address, bytes)
    }

    /// Connects from another address of the loopback network, with a receive buffer of this size.
    pub(crate) fn open_from_with_buffer(source: Ipv4Addr, address: SocketAddr, bytes: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(bytes)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&address.into(), IO_TIMEOUT)?;
        Self::with_timeouts(socket.into())
    }

    fn with_timeouts(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IO_TIMEOUT))?;
        stream.set_write_timeout(Some(IO_TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request without reading its answer.
    pub(crate) fn begin(&mut self, request: &Request) -> io::Result<()> {
        self.write(&request.bytes())
    }

    /// Closes the sending side only.
    pub(crate) fn stop_sending(&mut self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) -> io::Result<()> {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        Ok(nix::sys::socket::setsockopt(self.stream.get_ref(), nix::sys::socket::sockopt::Linger, &linger)?)
    }

    /// Its own address.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().expect("a connected socket has an address")
    }

    /// Sends a request and reads its answer. A server may answer and close before it has read the whole body, so a
    /// failed write is an error only if there is no answer.
    pub(crate) fn send(&mut self, request: &Request) -> io::Result<Response> {
        let written = self.write(&request.bytes());
        match self.read(request.method == "HEAD") {
            Ok(response) => Ok(response),
            Err(error) => Err(written.err().unwrap_or(error)),
        }
    }

    /// Sends these bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads one answer; `is_head` if the request was a HEAD, whose answer has no body.
    pub(crate) fn read(&mut self, is_head: bool) -> io::Result<Response> {
        let mut response = self.read_head()?;
        if response.status == 100 {
            return self.read(is_head);
        }
        if !is_head && response.status != 204 && response.status != 304 {
            response.body = self.body(&response)?;
        }
        Ok(response)
    }

    /// Reads the status and the headers of an answer, not its body.
    pub(crate) fn read_head(&mut self) -> io::Result<Response> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
        let mut response = Response { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other(format!("no header: {line:?}")))?;
            response.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(response)
    }

    /// Reads until the server closes or resets the connection.
    pub(crate) fn read_to_close(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }

    /// Reads exactly this many bytes of an answer.
    pub(crate) fn read_bytes(&mut self, bytes: usize) -> io::Result<()> {
        let read = io::copy(&mut (&mut self.stream).take(bytes as u64), &mut io::sink())?;
        if read == bytes as u64 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Reads until `end` arrives or the server closes the connection; returns whether it was `end`.
    pub(crate) fn read_to_close_or_end(&mut self, end: &[u8]) -> io::Result<bool> {
        let mut last = Vec::new();
        while !last.ends_with(end) {
            let piece = self.stream.fill_buf()?;
            let length = piece.len();
            last.extend_from_slice(piece);
            self.stream.consume(length);
            if length == 0 {
                return Ok(false);
            }
            last.drain(..last.len().saturating_sub(end.len()));
        }
        Ok(true)
    }

    fn body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.line()?;
                let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..])?;
                self.line()?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match response.header("content-length") {
            Some(length) => {
                body.resize(length.parse().map_err(io::Error::other)?, 0);
                self.stream.read_exact(&mut body)?;
            }
            None => {
                self.stream.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map_err(io::Error::other)
    }

    /// Whether the server has sent something; waits up to a second for it.
    pub(crate) fn has_answer(&mut self) -> bool {
        let _ = self.stream.get_ref().set_read_timeout(Some(Duration::from_secs(1)));
        let has_answer = self.stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        let _ = self.stream.get_ref().set_read_timeout(Some(IO_TIMEOUT));
        has_answer
    }

    /// Discards what has been received.
    pub(crate) fn discard(&mut self) {
        let received = self.stream.buffer().len();
        self.stream.consume(received);
    }

    /// Whether the server closes the connection within `bound`.
    pub(crate) fn closed_within(&mut self, bound: Duration) -> bool {
        let _ = self.stream.get_ref().set_read_timeout(Some(bound));
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }
}

/// Sends these bytes, closes the sending side, and returns everything that the server sends until it closes.
pub(crate) fn raw_exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect_timeout(&address, IO_TIMEOUT).expect("the server accepts connections");
    stream.set_read_timeout(Some(IO_TIMEOUT)).expect("a bound can be set");
    stream.set_write_timeout(Some(IO_TIMEOUT)).expect("a bound can be set");
    // The server may reject the request and close before all of it is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        let reset = error.kind() == io::ErrorKind::ConnectionReset;
        assert!(reset, "the server neither answered to the end nor closed: {error}");
    }
    String::from_utf8_lossy(&answer).into_owned()
}
