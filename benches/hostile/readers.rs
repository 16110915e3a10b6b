//! Clients that do not read their answers, and one that reads slowly but steadily.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::appliance::Appliance;
use crate::client;
use crate::report::Check;
use crate::{LIST, Result, Scale};

const LARGEST_FILE: &str = "/apidocs/swagger-ui-bundle.js";
const MAX_UNSENT: u64 = 64 * 1024;
/// How long what the kernel keeps is watched.
const WATCH_TIME: Duration = Duration::from_secs(5);
/// The rate of the steady reader, in bytes per tenth of a second.
const STEADY_STEP: usize = 500;
/// In `/proc/net/tcp`.
const ESTABLISHED: &str = "01";

/// Clients that ask for the largest file and stop reading: at once, after a part, or with more requests behind the first.
pub async fn unread(appliance: &Appliance, scale: &Scale) -> Result<Vec<Check>> {
    let mut streams = Vec::new();
    for number in 0..scale.unread {
        streams.push(ask_and_stop(appliance.port, number).await?);
    }
    // What is on its way in the beginning is not unsent.
    sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    let (mut highest, mut waiting) = (0, 0);
    while started.elapsed() < WATCH_TIME {
        let unsent = unsent(appliance.port)?;
        highest = unsent.iter().copied().max().unwrap_or(0).max(highest);
        waiting = unsent.iter().filter(|bytes| **bytes > 0).count().max(waiting);
        sleep(Duration::from_millis(500)).await;
    }
    let name = format!("highest of what {waiting} of {} clients leave unsent", streams.len());
    let measured = format!("{:.1} KiB", highest as f64 / 1024.0);
    Ok(vec![Check::new(&name, measured, "≤ 64 KiB", highest <= MAX_UNSENT)])
}

async fn ask_and_stop(port: u16, number: usize) -> io::Result<TcpStream> {
    let mut stream = client::get(port, client::address(number), LARGEST_FILE).await?;
    match number % 4 {
        0 => {
            client::discard(&mut stream, 100_000).await?;
        }
        1 => {
            let request = format!("GET {LARGEST_FILE} HTTP/1.1\r\nHost: a\r\n\r\n");
            stream.write_all(request.repeat(20).as_bytes()).await?;
        }
        _ => {}
    }
    Ok(stream)
}

/// What the kernel holds for each connection to a port: bytes that were not sent or not acknowledged.
fn unsent(port: u16) -> Result<Vec<u64>> {
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let local = format!(":{port:04X}");
    let mut unsent = Vec::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.len() > 4 && fields[1].ends_with(&local) && fields[3] == ESTABLISHED {
            let (queue, _) = fields[4].split_once(':').ok_or("a queue has no size")?;
            unsent.push(u64::from_str_radix(queue, 16)?);
        }
    }
    Ok(unsent)
}

/// A client that reads 5 KB/s of a list for a long time, and then the rest.
pub async fn steady(appliance: &Appliance, scale: &Scale) -> Result<Vec<Check>> {
    let mut stream = client::get(appliance.port, client::address(0), LIST).await?;
    let started = Instant::now();
    let outcome = read_steadily(&mut stream, scale.steady).await;
    let (measured, is_whole) = match outcome {
        Ok(true) => (format!("to the end, {:.0} s", started.elapsed().as_secs_f64()), true),
        Ok(false) => (format!("cut off after {:.0} s", started.elapsed().as_secs_f64()), false),
        Err(error) => (format!("{error} after {:.0} s", started.elapsed().as_secs_f64()), false),
    };
    let name = format!("5 KB/s for {} s, then the rest", scale.steady.as_secs());
    Ok(vec![Check::new(&name, measured, "to the end", is_whole)])
}

/// Returns whether the answer has its end.
async fn read_steadily(stream: &mut TcpStream, time: Duration) -> io::Result<bool> {
    let started = Instant::now();
    let mut due = started;
    while started.elapsed() < time {
        if client::discard(stream, STEADY_STEP).await? < STEADY_STEP {
            return Ok(false);
        }
        due += Duration::from_millis(100);
        sleep(due.saturating_duration_since(Instant::now())).await;
    }
    let mut end = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while !end.ends_with(b"\r\n0\r\n\r\n") {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(false);
        }
        end.extend_from_slice(&buffer[..read]);
        end.drain(..end.len().saturating_sub(16));
    }
    Ok(true)
}
