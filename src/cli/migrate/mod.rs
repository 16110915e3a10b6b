//! `attendance-api migrate`: Liquibase's commands on any PostgreSQL, without Java.
//!
//! Policy: standard output has what Liquibase prints there, because scripts read it; everything else goes to standard error. The
//! database is the one of `--url`, else the appliance's own, which is started for the command if it does not run.

mod arguments;
mod commands;
mod console;
mod generate;
mod liquibase_option;
mod settings;
mod target;
mod text;
mod value;

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::error::Error as CliError;
use super::migrate_error::Error;
use super::{help, output, runtime};
use crate::appliance;
use crate::config::{Config, Environment, Flags};
use crate::telemetry::format::Format;
use crate::telemetry::log::Logging;
use arguments::{Command, Common};
use commands::Invocation;
use console::Console;
use settings::Settings;

/// Update a database schema, or show what is pending: the commands of Liquibase
///
/// Works on the database of --url with the changelog of --changelog-file, as the Liquibase CLI does; both can also be in a
/// liquibase.properties. Without a URL it works on the appliance's own database: the external one that the configuration names, or
/// the managed one, which is started for the command and stopped again. `serve` runs the update itself.
#[derive(Debug, Args)]
#[command(after_long_help = help::MIGRATE)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), CliError> {
    let command = &arguments.command;
    let settings = Settings::read(&arguments.common, command.name(), command.tag_version())?;
    let _logging =
        Logging::start_on_stderr(Format::Text, level(settings.log_level.as_deref())).map_err(appliance::Error::from)?;
    let mut console = Console::default();
    let outcome = match &settings.target {
        Some(_) => run_on_url(arguments, &settings, &mut console),
        None => run_on_own_database(arguments, &settings, &mut console),
    };
    match &settings.output_file {
        Some(path) if !console.output.is_empty() => write_file(Path::new(path), &console.output)?,
        _ => output::print(&console.output)?,
    }
    outcome?;
    output::print_message(&format!("Liquibase command '{}' was executed successfully.", arguments.command.name()));
    Ok(())
}

/// Works on the database of `--url`.
fn run_on_url(arguments: &Arguments, settings: &Settings, console: &mut Console) -> Result<(), CliError> {
    let Some(target) = &settings.target else { return Ok(()) };
    let changelog = match arguments.command.reads_changelog() {
        true => Some(settings.load_changelog(&crate::config::Migrations::default())?),
        false => None,
    };
    let database = target.database().map_err(Error::from)?;
    let invocation = Invocation {
        command: &arguments.command,
        changelog,
        is_own_database: false,
        connect_timeout: Duration::ZERO,
        settings,
    };
    // One thread: the command waits for one connection, and a change of threads would cost more than an answer takes.
    runtime::run_single_threaded(commands::execute(database, invocation, console))
}

/// Works on the appliance's own database.
fn run_on_own_database(arguments: &Arguments, settings: &Settings, console: &mut Console) -> Result<(), CliError> {
    let config = configuration(&arguments.common)?;
    // Read before the privileges are dropped, because the unprivileged user may not be allowed to read the changelog.
    let changelog = match arguments.command.reads_changelog() {
        true => Some(settings.load_changelog(&config.migrations)?),
        false => None,
    };
    if arguments.command.only_reads() {
        appliance::require_database(&config)?;
    }
    appliance::drop_privileges(&config)?;
    let invocation = Invocation {
        command: &arguments.command,
        changelog,
        is_own_database: settings.changelog.is_none(),
        connect_timeout: config.postgres.connect_timeout,
        settings,
    };
    runtime::run_multi_threaded(
        runtime::processor_count(),
        appliance::with_database(&config, async |database| commands::execute(database, invocation, console).await),
    )
}

fn configuration(common: &Common) -> Result<Config, CliError> {
    let flags = Flags {
        config: common.config.clone(),
        listen: None,
        data_dir: common.data_dir.clone(),
        set: common.set.clone(),
    };
    Ok(crate::config::load(&flags, &Environment::of_process())?.config)
}

fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// The log level that Liquibase's word stands for.
fn level(word: Option<&str>) -> tracing::Level {
    match word.map(str::to_ascii_lowercase).as_deref() {
        Some("off" | "severe") => tracing::Level::ERROR,
        Some("info") => tracing::Level::INFO,
        Some("fine" | "debug" | "all") => tracing::Level::DEBUG,
        _ => tracing::Level::WARN,
    }
}
