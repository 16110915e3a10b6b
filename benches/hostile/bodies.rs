//! Many large bodies that never end.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::appliance::Appliance;
use crate::client;
use crate::good_client::API;
use crate::report::Check;
use crate::{Result, Scale};

const SIZE: usize = 1 << 20;
/// How many bytes of each body do not arrive.
const MISSING: usize = 8;
/// How long a client waits for an answer; the body's own time-out is later.
const PATIENCE: Duration = Duration::from_secs(8);
const MAX_MEMORY: u64 = 64;
const SMALL: usize = 8 * 1024;
const SMALL_CREATES: u64 = 20;

/// Bodies of 1 MiB of which all but the end arrives; small creates meanwhile.
pub async fn unfinished(appliance: &Appliance, scale: &Scale) -> Result<Vec<Check>> {
    let port = appliance.port;
    let memory = appliance.watch_memory()?;
    let mut clients = JoinSet::new();
    for number in 0..scale.bodies {
        clients.spawn(async move { send_all_but_the_end(port, number).await });
    }
    sleep(Duration::from_secs(2)).await;
    let (mut created, mut example) = (0, String::new());
    for number in 0..SMALL_CREATES {
        match create(port, number).await? {
            200 => created += 1,
            status => example = format!(" ({status})"),
        }
        sleep(Duration::from_millis(100)).await;
    }
    let (mut refused, mut other) = (0, 0);
    for outcome in clients.join_all().await {
        match outcome {
            Ok(Some(503)) => refused += 1,
            Ok(Some(_)) => other += 1,
            // It holds its part of the budget, or it was refused while it was still sending.
            Ok(None) | Err(_) => {}
        }
    }
    let others = format!("{created} of {SMALL_CREATES}{example}");
    Ok(vec![
        Check::memory(memory.growth(), MAX_MEMORY),
        Check::new("bodies answered with 503", refused.to_string(), "≥ 1", refused > 0),
        Check::at_most("bodies answered with another status", other, 0),
        Check::new("creates of 8 KiB that get through", others, "all", created == SMALL_CREATES),
    ])
}

async fn send_all_but_the_end(port: u16, number: usize) -> io::Result<Option<u16>> {
    let mut stream = client::connect(port, client::address(number)).await?;
    let head = format!(
        "POST {API}/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {SIZE}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    // The server may refuse the body before it has all been written; then there is an answer.
    let _ = stream.write_all(&vec![b' '; SIZE - MISSING]).await;
    match timeout(PATIENCE, client::read_head(&mut stream)).await {
        Ok(head) => Ok(Some(head?.status)),
        Err(_) => Ok(None),
    }
}

async fn create(port: u16, number: u64) -> io::Result<u16> {
    let mut stream = client::connect(port, client::address(5000)).await?;
    let run = std::process::id();
    let mut body = format!(r#"{{"id":"small-{run}-{number}","name":"n","status":"s","date":"2024-01-01"}}"#);
    body.push_str(&" ".repeat(SMALL - body.len()));
    let head = "Host: a\r\nContent-Type: application/json";
    let request = format!("POST {API}/create HTTP/1.1\r\n{head}\r\nContent-Length: {SMALL}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    client::read_answer(&mut stream).await
}
