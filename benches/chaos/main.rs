//! `make chaos`: clients write and read numbered records while everything that the appliance depends on is disrupted.
//!
//!     chaos run [--rounds N] [--seconds N] [--seed N]
//!
//! Policy: there are two deployments, which serve all the time: one with a PostgreSQL and a Redis of its own, on a small disk, and two
//! instances on an external PostgreSQL and an external Redis, which they reach through a proxy. In each round, one target of one of them is
//! disrupted for a while. Which one, how and how long follows from the seed, which is printed. A ledger (`ledger.rs`) has what the
//! clients were told, and is compared with the answers and with the tables. The exit status is 1 if something was lost,
//! duplicated, refused but stored, stale or hung, or if a start failed.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark prints its result and ends where it cannot go on"
)]

mod clients;
mod deployment;
mod disruption;
mod external;
mod ledger;
mod managed;
mod report;
#[path = "../../tests/integration/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the integration tests use the rest")]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clients::Clients;
use deployment::Deployment;
use external::External;
use managed::Managed;
use report::Report;
use support::choice::Choice;

/// After so many rounds the tables are compared with the ledger, and at the end.
const ROUNDS_PER_CHECK: usize = 20;
/// The longest pause before a disruption, and the longest disruption, in milliseconds.
const MAX_PAUSE: usize = 500;
const MAX_DISRUPTION: usize = 2_000;

/// What the command line says.
struct Options {
    rounds: usize,
    limit: Option<Duration>,
    seed: u64,
}

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let Some((command, options)) = words.split_first().filter(|(command, _)| *command == "run") else {
        // `cargo test --all-targets` passes no arguments.
        println!("chaos: see `make chaos`");
        return ExitCode::SUCCESS;
    };
    match parse(options) {
        Some(options) if run(&options) => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
        None => {
            println!("usage: chaos {command} [--rounds N] [--seconds N] [--seed N]");
            ExitCode::from(64)
        }
    }
}

fn parse(words: &[String]) -> Option<Options> {
    let mut options = Options { rounds: usize::MAX, limit: None, seed: u64::from(std::process::id()) };
    for pair in words.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--rounds" => options.rounds = value.parse().ok()?,
            "--seconds" => options.limit = Some(Duration::from_secs(value.parse().ok()?)),
            "--seed" => options.seed = value.parse().ok()?,
            _ => return None,
        }
    }
    if options.rounds == usize::MAX && options.limit.is_none() {
        options.rounds = 100;
    }
    Some(options)
}

/// Runs the rounds; returns whether there was no violation.
fn run(options: &Options) -> bool {
    println!("chaos: seed {}", options.seed);
    let mut deployments: [Box<dyn Deployment>; 2] = [Box::new(Managed::start()), Box::new(External::start())];
    let clients: Vec<Clients> = deployments.iter().map(|deployment| Clients::start(&**deployment)).collect();
    let mut report = Report::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| rounds(options, &mut deployments, &mut report)));
    if outcome.is_err() {
        report.violation("a disruption could not be carried out or ended, or a start failed (see above)".to_owned());
    }
    clients.into_iter().for_each(Clients::stop);
    if outcome.is_ok() {
        check_tables(&deployments);
    }
    for deployment in &deployments {
        report.add_ledger(deployment.name(), deployment.ledger());
    }
    report.print(options.seed)
}

fn rounds(options: &Options, deployments: &mut [Box<dyn Deployment>], report: &mut Report) {
    let started = Instant::now();
    let mut choice = Choice::new(options.seed);
    let targets: Vec<(usize, usize)> = (0..deployments.len())
        .flat_map(|at| (0..deployments[at].disruptions().len()).map(move |disruption| (at, disruption)))
        .collect();
    for round in 1..=options.rounds {
        if options.limit.is_some_and(|limit| started.elapsed() > limit) {
            return;
        }
        let (at, number) = *choice.of(&targets);
        let (pause, duration) = (choice.below(MAX_PAUSE) as u64, choice.below(MAX_DISRUPTION) as u64);
        thread::sleep(Duration::from_millis(pause));
        let deployment = &mut deployments[at];
        let disruption = deployment.disruptions()[number];
        let ended = deployment.disrupt(disruption, Duration::from_millis(duration));
        let recovery = deployment::recovery(&**deployment, round, ended);
        println!(
            "round {round}: {}: {disruption}, {duration} ms; served again after {} ms",
            deployment.name(),
            recovery.as_millis()
        );
        report.recovered(deployment.name(), disruption, recovery);
        if round % ROUNDS_PER_CHECK == 0 {
            check_tables(deployments);
        }
    }
}

fn check_tables(deployments: &[Box<dyn Deployment>]) {
    for deployment in deployments {
        deployment.ledger().check_table(&deployment.sql());
    }
}
