//! Tools of `make bench` besides wrk: the bare hyper server of the comparisons, load at a fixed rate, and idle connections.
//!
//!     load serve SIZE                           a minimal hyper server; prints its port; answers one body of SIZE bytes
//!     load serve-per-core SIZE                  as `serve`, with a single-threaded runtime for each processor; they share the port (SO_REUSEPORT)
//!     load serve-inserts DIRECTORY SIZE         a minimal hyper server that inserts a row for each request through PostgreSQL's socket in
//!                                               DIRECTORY (password in PGPASSWORD), and answers as `serve`
//!     load paced PORT PATH RATE SECONDS         requests at a fixed rate on 32 connections; prints p50 and p99 in microseconds
//!     load idle PORT PATH COUNT                 opens COUNT keep-alive connections, prints `open`, keeps them until standard input ends
//!
//! Latency at a fixed rate is measured from the time at which a request was due, not from that at which it could be sent. So a stall of the
//! server counts for every request that had to wait.
#![expect(clippy::disallowed_methods, reason = "its sessions belong to its connections alone")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a tool of the benchmark ends on the first error"
)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};

/// Connections of a paced load.
const CONNECTIONS: u32 = 32;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", size] => serve(size.parse().unwrap()),
        ["serve-per-core", size] => serve_per_core(size.parse().unwrap()),
        ["serve-inserts", directory, size] => serve_inserts(directory, size.parse().unwrap()),
        ["paced", port, path, rate, seconds] => {
            paced(port.parse().unwrap(), path, rate.parse().unwrap(), seconds.parse().unwrap());
        }
        ["idle", port, path, count] => idle(port.parse().unwrap(), path, count.parse().unwrap()),
        // `cargo test --all-targets` and `cargo bench` pass no arguments.
        _ => println!("load: see `make bench`"),
    }
}

#[tokio::main]
async fn serve(size: usize) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    accept(listener, size).await;
}

fn serve_per_core(size: usize) {
    let share = |port: u16| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseport(true).unwrap();
        socket.bind(([127, 0, 0, 1], port).into()).unwrap();
        socket.listen(1024).unwrap()
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let listener = first.block_on(async { share(0) });
    let port = listener.local_addr().unwrap().port();
    for _ in 1..std::thread::available_parallelism().unwrap().get() {
        std::thread::spawn(move || runtime().block_on(async { accept(share(port), size).await }));
    }
    println!("{port}");
    first.block_on(accept(listener, size));
}

/// The least work between a client and a durable row with hyper and `tokio-postgres`: one thread, one connection, one prepared
/// statement. The request is neither read nor checked, counted or logged.
#[tokio::main(flavor = "current_thread")]
async fn serve_inserts(directory: &str, size: usize) {
    let password = std::env::var("PGPASSWORD").unwrap();
    let mut config = tokio_postgres::Config::new();
    config.host_path(directory).user("postgres").password(password).dbname("attendance_db");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { connection.await.unwrap() });
    // Exactly the statement that pgbench runs.
    let insert = "INSERT INTO records (id, name, status, date) VALUES ($1, 'Asha Rao', 'Present', '2024-01-02') ON CONFLICT DO NOTHING";
    let insert = client.prepare(insert).await.unwrap();
    let shared = Rc::new((client, insert, Bytes::from(vec![b'x'; size])));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    let count = Rc::new(Cell::new(0_u64));
    let serve_one = move |tcp| {
        let (shared, count) = (shared.clone(), count.clone());
        let answer = service_fn(move |_: Request<Incoming>| {
            let (shared, count) = (shared.clone(), count.clone());
            async move {
                count.set(count.get() + 1);
                let id = format!("bare-{run}-{}", count.get());
                assert_eq!(shared.0.execute(&shared.1, &[&id]).await.unwrap(), 1);
                let response = Response::builder().header("content-type", "application/json");
                Ok::<_, Infallible>(response.body(Full::new(shared.2.clone())).unwrap())
            }
        });
        http1::Builder::new().serve_connection(TokioIo::new(tcp), answer)
    };
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        // A client may close its connection at any time.
        drop(serve_one(tcp).await);
    }
}

async fn accept(listener: TcpListener, size: usize) {
    let body = Bytes::from(vec![b'x'; size]);
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let body = body.clone();
        let answer = service_fn(move |_: Request<Incoming>| {
            let response = Response::builder().header("content-type", "application/json").body(Full::new(body.clone()));
            async move { Ok::<_, Infallible>(response.unwrap()) }
        });
        // A client may close its connection at any time.
        tokio::spawn(async move { drop(http1::Builder::new().serve_connection(TokioIo::new(tcp), answer).await) });
    }
}

/// One keep-alive connection.
struct Client {
    tcp: TcpStream,
    request_bytes: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    fn new(port: u16, path: &str) -> Self {
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request_bytes = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
        Self { tcp, request_bytes, buffer: Vec::new() }
    }

    fn send(&mut self) {
        self.buffer.clear();
        self.tcp.write_all(&self.request_bytes).unwrap();
    }

    /// Reads the available bytes; returns whether the answer, which must be a 200, is complete.
    fn is_answered(&mut self) -> bool {
        let mut piece = [0; 4096];
        let read = match self.tcp.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        };
        assert!(read > 0, "the server closed the connection");
        self.buffer.extend_from_slice(&piece[..read]);
        let Some(head) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 200"), "{text}");
        let length = text.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        self.buffer.len() >= head + 4 + length.parse::<usize>().unwrap()
    }

    /// Sends the request and waits for the complete answer.
    fn request(&mut self) {
        self.send();
        while !self.is_answered() {}
    }
}

/// Sends requests at a fixed rate from one thread that polls: a thread that sleeps wakes late, and costs more processor time than the servers.
fn paced(port: u16, path: &str, rate: f64, seconds: f64) {
    let start = Instant::now() + Duration::from_millis(100);
    let due = |number: u32| start + Duration::from_secs_f64(f64::from(number) / rate);
    let mut connections: Vec<(Client, Option<Instant>)> =
        (0..CONNECTIONS).map(|_| (Client::new(port, path), None)).collect();
    connections.iter().for_each(|(client, _)| client.tcp.set_nonblocking(true).unwrap());
    let last = (rate * seconds) as u32;
    let mut overdue = VecDeque::new();
    let mut latencies = Vec::new();
    let mut next = 0;
    while next < last || !overdue.is_empty() || connections.iter().any(|(_, since)| since.is_some()) {
        while next < last && due(next) <= Instant::now() {
            overdue.push_back(due(next));
            next += 1;
        }
        for (client, since) in &mut connections {
            if let Some(was_due) = since
                && client.is_answered()
            {
                latencies.push(was_due.elapsed().as_micros());
                *since = None;
            }
            if since.is_none() {
                *since = overdue.pop_front();
                if since.is_some() {
                    client.send();
                }
            }
        }
    }
    latencies.sort_unstable();
    println!("{} {}", latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100]);
}

fn idle(port: u16, path: &str, count: usize) {
    let clients: Vec<Client> = (0..count)
        .map(|_| {
            let mut client = Client::new(port, path);
            client.request();
            client
        })
        .collect();
    println!("open");
    // Standard input ends when the benchmark closes it, or ends itself.
    let _ = std::io::stdin().read(&mut [0]);
    drop(clients);
}
