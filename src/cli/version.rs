//! `attendance-api version`

use clap::Args;

use super::error::Error;
use super::{help, output};
use crate::appliance;

/// Print the versions of the program and of the embedded PostgreSQL
#[derive(Debug, Args)]
#[command(after_long_help = help::VERSION)]
pub struct Arguments {}

/// Prints the versions.
pub fn run() -> Result<(), Error> {
    let commit = option_env!("GIT_COMMIT").map(|commit| format!(" ({commit})")).unwrap_or_default();
    let postgres = appliance::embedded_postgres().unwrap_or_else(|| "none embedded".to_owned());
    output::print(&format!("attendance-api {}{commit}\npostgresql {postgres}\n", env!("CARGO_PKG_VERSION")))
}
