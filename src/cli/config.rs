//! `attendance-api config`

use clap::{Args, Subcommand};

use super::error::Error;
use super::flags;
use super::serve;
use super::{help, output};
use crate::appliance;
use crate::config::{self, Config, ExternalPostgres, Loaded, PostgresService, RedisService};

/// Check, show or explain the configuration, or print a template of it
#[derive(Debug, Args)]
#[command(after_long_help = help::CONFIG)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the configuration without starting anything; all problems are reported at once
    #[command(after_long_help = help::CONFIG)]
    Check(serve::Arguments),
    /// Print every key with its value and where it came from; passwords are masked
    #[command(after_long_help = help::CONFIG)]
    Show(serve::Arguments),
    /// Print what a key means, its default and its environment variable
    #[command(after_long_help = help::CONFIG)]
    Explain {
        /// A key or a section, for example server.max_body or server; without it, every key
        #[arg(value_name = "KEY", default_value = "", hide_default_value = true)]
        key: String,
    },
    /// Print a configuration file that explains every key; each is commented out
    #[command(after_long_help = help::CONFIG)]
    Template,
}

/// Checks, shows or explains the configuration, or prints the template.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Check(serve) => check(&flags::load(&serve.flags())?),
        Command::Show(serve) => output::print(&flags::load(&serve.flags())?.show()),
        Command::Explain { key } => output::print(&config::explain(key)?),
        Command::Template => output::print(&config::template()),
    }
}

fn check(loaded: &Loaded) -> Result<(), Error> {
    loaded.warnings().iter().for_each(|warning| output::print_warning(warning));
    let config = &loaded.config;
    let file = loaded.file.as_ref().map_or("none".to_owned(), |path| path.display().to_string());
    let rows = [
        ("configuration", "ok".to_owned()),
        ("file", file),
        ("listen", format!("{} (from {})", config.server.listen, loaded.listen_origin())),
        ("data directory", config.data_dir.display().to_string()),
        ("postgresql", postgres(config)?),
        ("redis", redis(config)),
    ];
    output::print(&rows.map(|(name, value)| format!("{name}: {value}\n")).concat())
}

fn postgres(config: &Config) -> Result<String, Error> {
    match &config.postgres.service {
        PostgresService::External(ExternalPostgres { host, port, user, database, .. }) => {
            Ok(format!("external, {user} at {host} port {port}, database {database}"))
        }
        PostgresService::Managed { .. } => {
            let which = appliance::describe_postgres(config).map_err(Error::Postgres)?;
            Ok(format!("managed, {which}"))
        }
    }
}

fn redis(config: &Config) -> String {
    match &config.redis.service {
        RedisService::Off => "off".to_owned(),
        RedisService::External(redis) => {
            format!("external, {} port {}, database {}", redis.host, redis.port, redis.database)
        }
        RedisService::Managed(managed) => match &managed.program {
            Some(program) => format!("managed, {}", program.display()),
            None => "managed, built in".to_owned(),
        },
    }
}
