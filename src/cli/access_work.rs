//! What the commands about accounts and tokens have in common.

use jiff::Timestamp;

use super::error::Error;
use super::runtime;
use crate::access::{self, Access};
use crate::appliance;
use crate::config::Config;
use crate::telemetry::format::Format;
use crate::telemetry::log::Logging;

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
