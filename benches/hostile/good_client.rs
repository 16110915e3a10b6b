//! A client that behaves well, at a modest rate, while others attack: hot and uncached searches, creates, health.
//!
//! Policy: it has its own thread and one keep-alive connection; every tenth request is sent on a new one. If the server has closed an idle
//! connection, the request is sent again on a new one, as every HTTP client does; both attempts count as one latency.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::report::Check;

pub const API: &str = "/api/v1/attendance";
const INTERVAL: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(20);
const NEW_CONNECTION_EVERY: usize = 10;
const MAX_P99: Duration = Duration::from_millis(100);

/// The running client.
pub struct GoodClient {
    is_done: Arc<AtomicBool>,
    thread: JoinHandle<Observed>,
}

/// What it saw.
#[derive(Default)]
struct Observed {
    latencies: Vec<Duration>,
    errors: Vec<String>,
}

impl GoodClient {
    /// Begins to send requests. `run` makes the ids of its records unique; ids of `employees` are searched.
    pub fn start(port: u16, run: &str, employees: usize) -> Self {
        let is_done = Arc::new(AtomicBool::new(false));
        let (ends, run) = (Arc::clone(&is_done), run.to_owned());
        let thread = std::thread::spawn(move || {
            let mut observed = Observed::default();
            let mut connection = None;
            for number in 0.. {
                if ends.load(Relaxed) {
                    break;
                }
                if number % NEW_CONNECTION_EVERY == 0 {
                    connection = None;
                }
                let request = request(number, &run, employees);
                let started = Instant::now();
                let status = send(&mut connection, port, &request);
                observed.latencies.push(started.elapsed());
                match status {
                    Ok(200) => {}
                    Ok(status) => observed.errors.push(format!("{status} for {:.40}", request)),
                    Err(error) => observed.errors.push(format!("{error} for {:.40}", request)),
                }
                std::thread::sleep(INTERVAL);
            }
            observed
        });
        Self { is_done, thread }
    }

    /// Ends the client.
    pub fn finish(self) -> Vec<Check> {
        self.is_done.store(true, Relaxed);
        let Ok(Observed { mut latencies, errors }) = self.thread.join() else {
            return vec![Check::new("good client", "its thread panicked", "", false)];
        };
        latencies.sort_unstable();
        let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or(Duration::MAX);
        let example = errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let errors = Check::new(
            &format!("good client: errors of {} requests", latencies.len()),
            format!("{}{example}", errors.len()),
            "0",
            errors.is_empty(),
        );
        vec![Check::time("good client: p99", p99, MAX_P99), errors]
    }
}

fn request(number: usize, run: &str, employees: usize) -> String {
    let get = |path: String| format!("GET {API}/{path} HTTP/1.1\r\nHost: a\r\n\r\n");
    match number % 4 {
        0 => get("search?id=employee-1".to_owned()),
        // Steps that are prime to the number of employees: nearly no id twice.
        1 => get(format!("search?id=employee-{}", number * 7919 % employees + 1)),
        2 => get("health".to_owned()),
        _ => {
            let body = format!(r#"{{"id":"good-{run}-{number}","name":"n","status":"Present","date":"2024-01-01"}}"#);
            let head = "Host: a\r\nContent-Type: application/json";
            format!("POST {API}/create HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
    }
}

/// Sends a request on the connection that is open, or on a new one if there is none or the server has closed it.
fn send(connection: &mut Option<BufReader<TcpStream>>, port: u16, request: &str) -> io::Result<u16> {
    if let Some(open) = connection
        && let Ok(status) = exchange(open, request)
    {
        return Ok(status);
    }
    let stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let status = exchange(connection.insert(BufReader::new(stream)), request);
    if status.is_err() {
        *connection = None;
    }
    status
}

fn exchange(stream: &mut BufReader<TcpStream>, request: &str) -> io::Result<u16> {
    stream.get_mut().write_all(request.as_bytes())?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(status)
}
