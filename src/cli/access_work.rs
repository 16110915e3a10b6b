//! What the commands about accounts and tokens have in common.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::Error;
use super::flags::ConfigFlags;
use super::{output, runtime};
use crate::access::{self, Access};
use crate::appliance;
use crate::config::Config;
use crate::telemetry::format::Format;
use crate::telemetry::log::Logging;

/// The options of a command that lists accounts or tokens.
#[derive(Debug, Args)]
pub struct ListFlags {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl ListFlags {
    /// Prints the items: as a JSON object with the member `plural`, or each as a line.
    ///
    /// # Errors
    /// When standard output takes nothing.
    pub fn print<T>(
        &self,
        plural: &str,
        items: &[T],
        to_json: fn(&T) -> Value,
        line: fn(&T) -> String,
    ) -> Result<(), Error> {
        if self.json {
            let items: Vec<_> = items.iter().map(to_json).collect();
            return output::print(&format!("{}\n", json!({ plural: items })));
        }
        if items.is_empty() {
            return output::print(&format!("There are no {plural}.\n"));
        }
        output::print(&items.iter().map(line).collect::<String>())
    }
}

/// Runs `work` with the accounts of the configured database.
///
/// # Errors
/// When the database cannot be reached or started, and the errors of `work`.
pub fn run<T>(config: &Config, work: impl AsyncFnOnce(&Access) -> Result<T, access::Error>) -> Result<T, Error> {
    let _logging = Logging::start_on_stderr(Format::Text, tracing::Level::WARN).map_err(appliance::Error::from)?;
    appliance::drop_privileges(config)?;
    runtime::run_multi_threaded(runtime::processor_count(), appliance::with_access(config, work))
}

/// A moment in the form of a list, in UTC.
pub fn shown(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M").to_string()
}
