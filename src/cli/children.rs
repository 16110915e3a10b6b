//! What the appliance starts itself as. Not for people, so not in the help.

use std::ffi::OsString;

use clap::Args;

use super::Failure;
use crate::appliance;

/// The process that asks for its death signal and then becomes the supervised program.
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct Supervised {
    /// The process id of the appliance.
    #[arg(long)]
    pub parent: i32,
    /// The signal to die by when the appliance does.
    #[arg(long)]
    pub signal: String,
    /// The program and its arguments, as they are.
    #[arg(last = true)]
    pub command: Vec<OsString>,
}

/// The process that serves mini-redis.
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct MiniRedis {}

/// The process in which pg-embed does its part.
#[cfg(feature = "download")]
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct PgEmbed {
    /// Passed on as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Becomes the program; returns only when that fails.
pub fn supervised(arguments: &Supervised) -> Result<(), Failure> {
    Err(appliance::run_supervised_child(arguments.parent, &arguments.signal, &arguments.command).into())
}

/// Serves mini-redis until the appliance ends it.
pub fn mini_redis() -> Result<(), Failure> {
    Ok(appliance::run_mini_redis()?)
}

/// Does pg-embed's part and ends.
#[cfg(feature = "download")]
pub fn pg_embed(arguments: &PgEmbed) -> Result<(), Failure> {
    super::runtime::run_here(appliance::run_pg_embed_child(&arguments.words))
}
