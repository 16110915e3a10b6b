//! `attendance-api healthcheck`

use clap::Args;

use hyper::Uri;

use super::error::Error;
use super::flags::ConfigFlags;
use super::{help, output, probe, runtime};
use crate::appliance;

/// Ask a running appliance whether it is healthy
///
/// Sends one request, waits at most 3 seconds, and prints the message of the answer. Without a URL it asks the address on which the
/// appliance of this data directory, or else the service of the package, listens, also if that is a socket of systemd. If none runs, or
/// if a variable or --set names an address, it asks that of the configuration.
#[derive(Debug, Args)]
#[command(after_long_help = help::HEALTHCHECK)]
pub struct Arguments {
    /// The URL to ask; without a path, /api/v1/attendance/health is asked
    #[arg(value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    config: ConfigFlags,
}

/// Asks, and prints the message of the answer.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let url = match &arguments.url {
        Some(text) => probe::parse_url(text)?,
        None => default_url(&arguments.config)?,
    };
    let message = runtime::run_single_threaded(probe::probe(url))?;
    output::print(&format!("{message}\n"))
}

/// The URL of the health check of the appliance that runs with this configuration.
fn default_url(flags: &ConfigFlags) -> Result<Uri, Error> {
    let address = match flags.load() {
        Ok(loaded) if loaded.is_listen_explicit() => loaded.config.server.listen,
        Ok(loaded) => appliance::running_address(&loaded.config.data_dir)
            .or_else(|| appliance::service_address().filter(|_| loaded.is_of_service()))
            .unwrap_or(loaded.config.server.listen),
        // Its file may hold a password, so it is closed to other users; where it listens is open to all.
        Err(Error::Configuration(error)) if error.is_service_file_closed() => {
            appliance::service_address().ok_or(Error::Configuration(error))?
        }
        Err(error) => return Err(error),
    };
    Ok(probe::url_of_listener(address)?)
}
