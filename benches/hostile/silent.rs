//! Connections that send nothing.
//!
//! Policy: they are held by processes of their own, because one process may have too few descriptors. A connection that the server closes is
//! opened again, at a bounded rate.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{LocalSet, spawn_blocking};
use tokio::time::sleep;

use crate::appliance::Appliance;
use crate::client;
use crate::report::Check;
use crate::{Result, Scale};

/// Connections of one process.
const PER_PROCESS: usize = 7_000;
/// Connections that one process opens at the same time.
const OPENING: usize = 64;
/// How often one process opens a connection again.
const REOPEN_INTERVAL: Duration = Duration::from_millis(2);
const MAX_WAIT: Duration = Duration::from_millis(500);
/// How long new clients are watched after all connections were opened once.
const WATCH_TIME: Duration = Duration::from_secs(10);
/// All connections are open within this time, or the attack has failed.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

/// Opens silent connections; new clients connect meanwhile.
pub async fn connections(appliance: &Appliance, scale: &Scale) -> Result<Vec<Check>> {
    let (sender, mut opened) = mpsc::unbounded_channel();
    let mut holders = Vec::new();
    for first in (0..scale.silent).step_by(PER_PROCESS) {
        let mut child = hold(appliance.port, first, PER_PROCESS.min(scale.silent - first))?;
        let output = child.stdout.take().ok_or("a holder has no output")?;
        holders.push(child);
        let sender = sender.clone();
        spawn_blocking(move || {
            let mut line = String::new();
            let is_open = BufReader::new(output).read_line(&mut line).is_ok() && line.trim() == "open";
            // The receiver is gone if the attack has failed.
            let _ = sender.send(is_open);
        });
    }
    let started = Instant::now();
    let (mut slowest, mut clients, mut waiting, mut watched_since) = (Duration::ZERO, 0, holders.len(), None);
    while watched_since.is_none_or(|since: Instant| since.elapsed() < WATCH_TIME) {
        let began = Instant::now();
        let mut stream = client::connect(appliance.port, std::net::Ipv4Addr::LOCALHOST).await?;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        client::read_answer(&mut stream).await?;
        slowest = slowest.max(began.elapsed());
        clients += 1;
        while let Ok(is_open) = opened.try_recv() {
            waiting -= usize::from(is_open);
        }
        if waiting == 0 && watched_since.is_none() {
            watched_since = Some(Instant::now());
        }
        if waiting > 0 && started.elapsed() > OPEN_TIMEOUT {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    for mut child in holders {
        // Its standard input ends, and so does it.
        drop(child.stdin.take());
        child.wait()?;
    }
    let name = format!("slowest of {clients} new clients");
    let held =
        Check::new("processes that opened all their connections", format!("all but {waiting}"), "all", waiting == 0);
    Ok(vec![Check::time(&name, slowest, MAX_WAIT), held])
}

fn hold(port: u16, first: usize, count: usize) -> Result<Child> {
    let words = ["silent".to_owned(), port.to_string(), first.to_string(), count.to_string()];
    Ok(Command::new(std::env::current_exe()?).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

/// The process that holds `count` connections, until its standard input ends.
pub fn run_holder(port: u16, first: usize, count: usize) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let opening = Rc::new(Semaphore::new(OPENING));
        let reopening = Rc::new(Semaphore::new(0));
        let (sender, mut opened) = mpsc::unbounded_channel();
        for number in first..first + count {
            let (opening, reopening, sender) = (Rc::clone(&opening), Rc::clone(&reopening), sender.clone());
            tokio::task::spawn_local(async move {
                loop {
                    let permit = opening.acquire().await;
                    let stream = client::connect(port, client::address(number / 100)).await;
                    drop(permit);
                    // The receiver is not interested in those that are opened again.
                    let _ = sender.send(());
                    if let Ok(mut stream) = stream {
                        // Ends when the server closes the connection.
                        let _ = stream.read(&mut [0; 512]).await;
                    }
                    if let Ok(permit) = reopening.acquire().await {
                        permit.forget();
                    }
                }
            });
        }
        for _ in 0..count {
            opened.recv().await;
        }
        println!("open");
        drop(opened);
        loop {
            sleep(REOPEN_INTERVAL).await;
            reopening.add_permits(1);
        }
    })
}
