//! `attendance-api migrate`: Liquibase's commands on any PostgreSQL, without Java.
//!
//! Policy: standard output is what Liquibase puts there, because scripts read it; all else goes to standard error. The database is
//! the one of `--url`, else the appliance's own, which is started for it and stopped again where it does not run.

mod arguments;
mod commands;
mod error;
mod generate;
mod settings;
mod target;
mod text;

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::{help, output, runtime};
use crate::config::{Config, Environment, Flags};
use crate::database::Database;
use crate::telemetry::format::Format;
use crate::telemetry::log::Logging;
use crate::{appliance, cli};
use arguments::{Command, Common};
use commands::{Console, Work};
use settings::Settings;

pub use error::Error;

/// Bring a database schema up to date, or see what is pending: the commands of Liquibase
///
/// Works on the database of --url with the changelog of --changelog-file, as the Liquibase CLI does; both may also stand in a
/// liquibase.properties. Without a URL it is the appliance's own database: the external one the configuration names, or the
/// one it brings along, which is started for it and stopped again. `serve` does the update by itself.
#[derive(Debug, Args)]
#[command(after_long_help = help::MIGRATE)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Does what the command says.
pub fn run(arguments: &Arguments) -> Result<(), cli::Error> {
    let _logging = Logging::start_on_stderr(Format::Text, level(arguments.common.log_level.as_deref()))
        .map_err(appliance::Error::from)?;
    let settings = Settings::gather(&arguments.common)?;
    let mut console = Console::default();
    let done = match &settings.target {
        Some(_) => on_target(arguments, &settings, &mut console),
        None => on_own(arguments, &settings, &mut console),
    };
    match &arguments.common.output_file {
        Some(path) if !console.output.is_empty() => write_file(Path::new(path), &console.output)?,
        _ => output::print(&console.output)?,
    }
    done?;
    output::note(&format!("Liquibase command '{}' was executed successfully.", arguments.command.name()));
    Ok(())
}

/// Works on the database of `--url`.
fn on_target(arguments: &Arguments, settings: &Settings, console: &mut Console) -> Result<(), cli::Error> {
    let Some(target) = &settings.target else { return Ok(()) };
    let chosen = match arguments.command.reads_changelog() {
        true => Some(settings.choose(&crate::config::Migrations::default())?),
        false => None,
    };
    let database = Database::external(&target.server).map_err(Error::from)?;
    let work = Work {
        command: &arguments.command,
        chosen,
        url: Some(target.url.clone()),
        own: false,
        patience: Duration::ZERO,
        lock_wait: settings.lock_wait,
        generated: arguments.common.changelog_file.as_deref(),
    };
    runtime::run_on(runtime::processors(), commands::execute(database, work, console))
}

/// Works on the appliance's own database.
fn on_own(arguments: &Arguments, settings: &Settings, console: &mut Console) -> Result<(), cli::Error> {
    let config = configuration(&arguments.common)?;
    // Read while this process still is who was asked: the changelog may be readable to nobody else.
    let chosen = match arguments.command.reads_changelog() {
        true => Some(settings.choose(&config.migrations)?),
        false => None,
    };
    appliance::drop_privileges(&config)?;
    let work = Work {
        command: &arguments.command,
        chosen,
        url: None,
        own: settings.changelog.is_none(),
        patience: config.postgres.connect_timeout,
        lock_wait: settings.lock_wait,
        generated: arguments.common.changelog_file.as_deref(),
    };
    runtime::run_on(
        runtime::processors(),
        appliance::with_database(&config, async |database| commands::execute(database, work, console).await),
    )
}

fn configuration(common: &Common) -> Result<Config, cli::Error> {
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

/// Liquibase's words for how much is told.
fn level(word: Option<&str>) -> tracing::Level {
    match word.map(str::to_ascii_lowercase).as_deref() {
        Some("off" | "severe") => tracing::Level::ERROR,
        Some("info") => tracing::Level::INFO,
        Some("fine" | "debug" | "all") => tracing::Level::DEBUG,
        _ => tracing::Level::WARN,
    }
}
