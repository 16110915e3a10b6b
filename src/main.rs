//! The attendance appliance: parses the command line, runs what it says, maps the outcome to an exit status.

mod appliance;
mod attendance;
mod cli;
mod config;
mod database;
mod http;
mod managed;
mod telemetry;

use std::process::ExitCode;

/// The request path allocates on several threads at once; the system's allocator makes them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(command) => cli::exit_status(cli::run(command)),
        Err(status) => status,
    }
}
