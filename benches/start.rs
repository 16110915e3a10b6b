//! `make bench-start`: duration of a start, memory of the idle appliance, size of the binary.
//!
//! Prints each figure beside its target. A missed target is printed as MISSED, but is not an error.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_attendance-api");
/// Starts of each kind; the median is reported.
const ROUNDS: usize = 5;
/// A start that takes longer has failed.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const MB: f64 = 1_000_000.0;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let base = std::env::temp_dir().join(format!("attendance-bench-{}", std::process::id()));
    std::fs::create_dir_all(&base)?;
    let outcome = measure(&base);
    std::fs::remove_dir_all(&base)?;
    outcome
}

fn measure(base: &Path) -> Result<()> {
    let mut first = Vec::new();
    let mut later = Vec::new();
    let mut resident = Vec::new();
    let mut redis = Vec::new();
    for round in 0..ROUNDS {
        let data = base.join(round.to_string());
        let (appliance, time) = Appliance::start(&data)?;
        first.push(time);
        appliance.stop()?;
        let (appliance, time) = Appliance::start(&data)?;
        later.push(time);
        std::thread::sleep(Duration::from_secs(2));
        resident.push(resident_bytes(appliance.child.id())?);
        redis.push(children(appliance.child.id())?.into_iter().filter_map(redis_child).sum::<u64>());
        appliance.stop()?;
    }
    let size = std::fs::metadata(BINARY)?.len();
    println!("{:<58} {:>10} {:>10}  met", "", "measured", "target");
    row("first start on an empty data directory to 200", seconds(&mut first), 3.0, "s");
    row("later start to 200", seconds(&mut later), 0.7, "s");
    row("idle resident memory of the appliance process", median(&mut resident) as f64 / MB, 30.0, "MB");
    println!("{:<58} {:>7.2} MB", "idle resident memory of the mini-redis child", median(&mut redis) as f64 / MB);
    row("binary with everything embedded", size as f64 / MB, 28.0, "MB");
    Ok(())
}

fn row(name: &str, measured: f64, target: f64, unit: &str) {
    let met = if measured <= target { "yes" } else { "MISSED" };
    println!("{name:<58} {measured:>7.2} {unit:<2} {target:>7.2} {unit:<2}  {met}");
}

fn median<T: Ord + Copy>(values: &mut [T]) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn seconds(times: &mut [Duration]) -> f64 {
    median(times).as_secs_f64()
}

/// A running appliance.
struct Appliance {
    child: Child,
}

impl Appliance {
    /// Starts the appliance and waits for the first 200 of the health endpoint.
    fn start(data: &Path) -> Result<(Self, Duration)> {
        let started = Instant::now();
        let mut child = Command::new(BINARY)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the child's standard output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let address = loop {
            let line = lines.next().ok_or("the appliance ended before it listened")??;
            if let Some(address) = listening(&line) {
                break address;
            }
        };
        // The output is read to its end, so that the appliance never blocks on it.
        std::thread::spawn(move || lines.for_each(drop));
        while !healthy(&address) {
            if started.elapsed() > START_TIMEOUT {
                return Err(format!("no 200 from {address} within {} s", START_TIMEOUT.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok((Self { child }, started.elapsed()))
    }

    fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Returns the address from the log line "listening".
fn listening(line: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    (event["message"] == "listening").then(|| event["address"].as_str().map(str::to_owned))?
}

fn healthy(address: &str) -> bool {
    let request = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /api/v1/attendance/health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    request().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kib * 1024)
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let list = std::fs::read_to_string(thread?.path().join("children"))?;
        found.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(found)
}

/// Returns the resident memory of a child if it is the managed Redis, which runs the binary of the appliance.
fn redis_child(pid: u32) -> Option<u64> {
    let program: PathBuf = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    (program == std::fs::canonicalize(BINARY).ok()?).then(|| resident_bytes(pid).ok())?
}
