//! `attendance-api openapi`

use clap::Args;

use super::error::Error;
use super::{help, output};
use crate::appliance;

/// Print the OpenAPI document of the API
///
/// A running appliance serves this document at /openapi.json. Use it for client generators and diffs.
#[derive(Debug, Args)]
#[command(after_long_help = help::OPENAPI)]
pub struct Arguments {}

/// Prints the document.
pub fn run() -> Result<(), Error> {
    output::print(&format!("{}\n", appliance::openapi().trim_end()))
}
