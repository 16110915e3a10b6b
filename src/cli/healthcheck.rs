//! `attendance-api healthcheck`

use clap::Args;

use super::error::Error;
use super::flags::ConfigFlags;
use super::{help, output, probe, runtime};

/// Ask a running appliance whether it is healthy
///
/// Sends one request, waits at most 3 seconds, and prints the message of the answer. Without a URL it asks the address that the
/// configuration listens on.
#[derive(Debug, Args)]
#[command(after_long_help = help::HEALTHCHECK)]
pub struct Arguments {
    /// The URL to ask [default: http://127.0.0.1:8080/api/v1/attendance/health, with the port of the configuration]
    #[arg(value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    config: ConfigFlags,
}

/// Asks, and prints the message of the answer.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let url = match &arguments.url {
        Some(text) => probe::parse_url(text)?,
        None => probe::url_of_listener(arguments.config.load()?.config.server.listen)?,
    };
    let message = runtime::run_single_threaded(probe::probe(url))?;
    output::print(&format!("{message}\n"))
}
