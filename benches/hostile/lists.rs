//! Attacks with unpaged lists: many at once, and slow readers that hold what lists need.

use std::io;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::appliance::Appliance;
use crate::client;
use crate::report::Check;
use crate::{LIST, Result, Scale};

/// How much of its list a client reads.
const READ: usize = 4 << 20;
const MAX_FIRST_BYTE: Duration = Duration::from_secs(2);
const MAX_STOP: Duration = Duration::from_millis(100);
const MAX_MEMORY: u64 = 128;
/// Lists that are served at least: as many as may be read at once by default (`server.max_lists`).
const SERVED: u64 = 64;
/// Slow readers, and the rate of each in bytes per tenth of a second.
const SLOW_READERS: usize = 64;
const SLOW_STEP: usize = 7_000;
/// Lists that other clients ask for meanwhile.
const OTHERS: u64 = 5;

/// What happened to one client.
enum Outcome {
    Disconnected,
    Served(Duration),
    Refused(Duration),
    Failed(String),
}

/// Clients that ask for everything at once; half of them disconnect.
pub async fn many(appliance: &Appliance, scale: &Scale) -> Result<Vec<Check>> {
    ask_for_lists(appliance, scale, |_| LIST.to_owned()).await
}

/// The lists have the same records, but no client can be given what another has asked for.
pub async fn distinct(appliance: &Appliance, scale: &Scale) -> Result<Vec<Check>> {
    ask_for_lists(appliance, scale, |number| format!("{LIST}?from={:04}-01-01", 1000 + number % 1000)).await
}

async fn ask_for_lists(appliance: &Appliance, scale: &Scale, path: fn(usize) -> String) -> Result<Vec<Check>> {
    let memory = appliance.watch_memory()?;
    let mut clients = JoinSet::new();
    for number in 0..scale.list_clients {
        let port = appliance.port;
        clients.spawn(async move {
            ask(port, number, &path(number)).await.unwrap_or_else(|error| Outcome::Failed(error.to_string()))
        });
    }
    let (mut served, mut slowest, mut failures) = (0, Duration::ZERO, Vec::new());
    for outcome in clients.join_all().await {
        match outcome {
            Outcome::Disconnected => {}
            Outcome::Served(first) => {
                served += 1;
                slowest = slowest.max(first);
            }
            Outcome::Refused(first) => slowest = slowest.max(first),
            Outcome::Failed(reason) => failures.push(reason),
        }
    }
    let growth = memory.growth();
    let example = failures.first().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let wanted = SERVED.min(scale.list_clients as u64 / 2);
    Ok(vec![
        Check::memory(growth, MAX_MEMORY),
        Check::time("slowest first byte of a list or of a 503 with Retry-After", slowest, MAX_FIRST_BYTE),
        Check::new("clients with neither", format!("{}{example}", failures.len()), "0", failures.is_empty()),
        Check::new("lists served", format!("{served}"), format!("≥ {wanted}"), served >= wanted),
        disconnected_work(appliance, scale, path).await?,
    ])
}

async fn ask(port: u16, number: usize, path: &str) -> io::Result<Outcome> {
    let mut stream = client::connect(port, client::address(number)).await?;
    let started = Instant::now();
    tokio::io::AsyncWriteExt::write_all(&mut stream, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .await?;
    if number % 2 == 1 {
        sleep(Duration::from_millis(50)).await;
        return Ok(Outcome::Disconnected);
    }
    let head = client::read_head(&mut stream).await?;
    let first = started.elapsed();
    Ok(match head.status {
        200 => {
            client::discard(&mut stream, READ).await?;
            Outcome::Served(first)
        }
        503 if head.header("retry-after").is_some() => Outcome::Refused(first),
        status => Outcome::Failed(format!("status {status}")),
    })
}

/// Until when PostgreSQL works for clients that have all disconnected.
async fn disconnected_work(appliance: &Appliance, scale: &Scale, path: fn(usize) -> String) -> Result<Check> {
    let sql = appliance.sql().await?;
    let query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() \
                 AND query LIKE 'SELECT id, name, status, date%ORDER BY id, date%'";
    let mut streams = Vec::new();
    for number in 0..scale.list_clients / 2 {
        streams.push(client::get(appliance.port, client::address(number), &path(number)).await?);
    }
    drop(streams);
    let disconnected = Instant::now();
    let mut last = Duration::ZERO;
    while disconnected.elapsed() < last + Duration::from_millis(500) {
        let active: i64 = sql.query_one(query, &[]).await?.get(0);
        if active > 0 {
            last = disconnected.elapsed();
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(Check::time("work for clients that have disconnected", last, MAX_STOP))
}

/// Slow readers of lists, all from one address; others ask for a list meanwhile.
pub async fn slow_readers(appliance: &Appliance) -> Result<Vec<Check>> {
    let port = appliance.port;
    let mut readers = JoinSet::new();
    for _ in 0..SLOW_READERS {
        readers.spawn(async move {
            let mut stream = client::get(port, client::address(0), LIST).await?;
            while client::discard(&mut stream, SLOW_STEP).await? > 0 {
                sleep(Duration::from_millis(100)).await;
            }
            io::Result::Ok(())
        });
    }
    sleep(Duration::from_secs(3)).await;
    let (mut served, mut last) = (0, String::new());
    for number in 1..=OTHERS {
        let mut stream = client::get(port, client::address(number as usize), LIST).await?;
        match client::read_head(&mut stream).await {
            Ok(head) if head.status == 200 => served += u64::from(client::discard(&mut stream, READ).await? == READ),
            Ok(head) => last = format!(" ({})", head.status),
            Err(error) => last = format!(" ({error})"),
        }
        sleep(Duration::from_millis(500)).await;
    }
    readers.shutdown().await;
    let measured = format!("{served} of {OTHERS}{last}");
    Ok(vec![Check::new("others that get a list", measured, "all", served == OTHERS)])
}
