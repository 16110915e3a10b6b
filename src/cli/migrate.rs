//! `attendance-api migrate`

use clap::{Args, Subcommand};

use super::flags::ConfigFlags;
use super::{Failure, help, output, runtime};
use crate::appliance::{self, Migration};

/// Bring the database schema up to date, or see what is pending
///
/// Works on the database the configuration names: an external one, or the appliance's own, which is started for it
/// and stopped again. `serve` does the update by itself; this is for those who want it apart.
#[derive(Debug, Args)]
#[command(after_long_help = help::MIGRATE)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the changes that have not run yet, under the database's lock
    #[command(after_long_help = help::MIGRATE)]
    Update(ConfigFlags),
    /// List the changes that have run and those that are pending; change nothing
    #[command(after_long_help = help::MIGRATE)]
    Status(ConfigFlags),
}

/// Migrates, or tells the state of migration.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (flags, migration) = match &arguments.command {
        Command::Update(flags) => (flags, Migration::Update),
        Command::Status(flags) => (flags, Migration::Status),
    };
    let config = flags.load()?.config;
    appliance::drop_privileges(&config.data_dir)?;
    let report = runtime::run_on_all_processors(appliance::migrate(config, migration))?;
    output::print(&report)
}
