//! `make hostile`: attacks on a running appliance, and what they do to a client that behaves well.
//!
//!     hostile run BINARY [--short] [--attacks NAME,...]   runs the attacks; exit status 1 if a limit is exceeded
//!     hostile silent PORT FIRST COUNT                     holds connections that send nothing, until standard input ends
//!
//! Policy: everything is bounded, and uses the loopback interface only. Each attacker has an address of its own in 127.0.0.0/8; the good
//! client is at 127.0.0.1. The appliance is the release binary with its defaults and its own PostgreSQL, in a temporary directory.
#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::disallowed_methods, reason = "its sessions belong to its connections alone")]

mod appliance;
mod bodies;
mod client;
mod garbage;
mod good_client;
mod lists;
mod readers;
mod report;
mod silent;

use std::error::Error;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use appliance::Appliance;
use good_client::GoodClient;
use report::{Check, Table};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// An attack that has not begun.
type Attack<'a> = Pin<Box<dyn Future<Output = Result<Vec<Check>>> + 'a>>;

/// The list of all records.
const LIST: &str = "/api/v1/attendance/search/all";
/// How long the appliance has to recover between two attacks.
const PAUSE: Duration = Duration::from_secs(2);

/// How large the attacks are.
struct Scale {
    /// Records in the database.
    records: usize,
    /// Clients that ask for all records.
    list_clients: usize,
    /// Bodies that never end.
    bodies: usize,
    /// Clients that do not read.
    unread: usize,
    /// How long the steady reader reads slowly.
    steady: Duration,
    /// Connections that send nothing.
    silent: usize,
    /// Requests of random bytes.
    garbage: usize,
}

const FULL: Scale = Scale {
    records: 300_000,
    list_clients: 1000,
    bodies: 2000,
    unread: 2000,
    steady: Duration::from_secs(600),
    silent: 20_000,
    garbage: 100_000,
};

const SHORT: Scale = Scale {
    records: 300_000,
    list_clients: 300,
    bodies: 300,
    unread: 300,
    steady: Duration::from_secs(20),
    silent: 12_000,
    garbage: 5_000,
};

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["run", binary, ref options @ ..] => run(Path::new(binary), options),
        ["silent", port, first, count] => hold(port, first, count).map(|()| 0),
        // `cargo test --all-targets` passes no arguments.
        _ => {
            println!("hostile: see `make hostile`");
            Ok(0)
        }
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(exceeded) => {
            println!("{exceeded} limits are exceeded");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("hostile: {error}");
            ExitCode::FAILURE
        }
    }
}

fn hold(port: &str, first: &str, count: &str) -> Result<()> {
    silent::run_holder(port.parse()?, first.parse()?, count.parse()?)
}

/// Runs the attacks; returns how many limits were exceeded.
#[tokio::main(flavor = "current_thread")]
async fn run(binary: &Path, options: &[&str]) -> Result<usize> {
    let scale = if options.contains(&"--short") { SHORT } else { FULL };
    let chosen = options.iter().skip_while(|word| **word != "--attacks").nth(1);
    let binary = binary.canonicalize()?;
    let base = std::env::temp_dir().join(format!("hostile-{}", std::process::id()));
    std::fs::create_dir_all(&base)?;
    let outcome = match Appliance::start(&binary, &base) {
        Ok(appliance) => {
            let outcome = attack(&appliance, &scale, chosen.copied()).await;
            appliance.stop().and(outcome)
        }
        Err(error) => Err(error),
    };
    std::fs::remove_dir_all(&base)?;
    outcome
}

async fn attack(appliance: &Appliance, scale: &Scale, chosen: Option<&str>) -> Result<usize> {
    let fill = format!(
        "INSERT INTO records SELECT 'employee-' || n, 'Name of ' || n, 'Present', '2024-01-01' FROM generate_series(1, {}) n; ANALYZE records",
        scale.records
    );
    appliance.sql().await?.batch_execute(&fill).await?;
    let Scale { records, list_clients, bodies, unread, silent, garbage, .. } = scale;
    let lists = format!("{list_clients} clients ask for {records} rows at once, half of them disconnect");
    let distinct = format!("{list_clients} clients ask for a different list each, half of them disconnect");
    let attacks: [(&str, String, Attack<'_>); 9] = [
        ("none", "no attack".to_owned(), Box::pin(none())),
        ("lists", lists, Box::pin(lists::many(appliance, scale))),
        ("distinct", distinct, Box::pin(lists::distinct(appliance, scale))),
        (
            "bodies",
            format!("{bodies} bodies of 1 MiB, all but the end"),
            Box::pin(bodies::unfinished(appliance, scale)),
        ),
        (
            "unread",
            format!("{unread} clients ask for the largest file and do not read it"),
            Box::pin(readers::unread(appliance, scale)),
        ),
        ("slow", "64 slow readers of lists".to_owned(), Box::pin(lists::slow_readers(appliance))),
        ("silent", format!("{silent} silent connections"), Box::pin(silent::connections(appliance, scale))),
        ("garbage", format!("{garbage} requests of random bytes"), Box::pin(garbage::requests(appliance, scale))),
        ("steady", "a client that reads slowly and steadily".to_owned(), Box::pin(readers::steady(appliance, scale))),
    ];
    let mut table = Table::default();
    for (name, title, attack) in attacks {
        if chosen.is_some_and(|chosen| chosen.split(',').all(|other| other != name)) {
            continue;
        }
        let good = GoodClient::start(appliance.port, name, scale.records);
        let mut checks = attack.await?;
        checks.extend(good.finish());
        table.add(&format!("{title} ({name})"), &checks);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(table.exceeded())
}

/// What the good client sees without an attack.
async fn none() -> Result<Vec<Check>> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(Vec::new())
}
