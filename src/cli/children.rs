//! The commands with which the appliance starts itself as a child. They are not for users, so the help does not list them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::error::Error;
use crate::appliance;

/// The process that prepares itself and then becomes a supervised child.
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub struct Supervised {
    /// The appliance's process id; the child must not outlive it.
    #[arg(long)]
    pub parent: i32,
    /// The signal that the kernel sends the child when the appliance has ended.
    #[arg(long)]
    pub signal: String,
    /// The title in lists of processes, instead of the program's path.
    #[arg(long)]
    pub title: Option<OsString>,
    /// The `nice` value of the program.
    #[arg(long, allow_negative_numbers = true)]
    pub niceness: Option<i32>,
    /// The program and its arguments.
    #[arg(last = true)]
    pub command: Vec<OsString>,
}

/// The process that serves mini-redis.
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct MiniRedis {
    /// The data directory of the appliance, which distinguishes this process from that of another appliance.
    pub data_dir: PathBuf,
}

/// The process in which pg-embed runs.
#[cfg(feature = "download")]
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct PgEmbed {
    /// The request, as `managed::pg_embed` encodes it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Becomes the child; returns only when that fails.
pub fn supervised(arguments: &Supervised) -> Result<(), Error> {
    let Supervised { parent, signal, title, niceness, command } = arguments;
    Err(appliance::supervised_child(*parent, signal, title.as_deref(), *niceness, command).into())
}

/// Serves mini-redis until the parent stops it.
pub fn mini_redis() -> Result<(), Error> {
    Ok(appliance::mini_redis_child()?)
}

/// Runs pg-embed once.
#[cfg(feature = "download")]
pub fn pg_embed(arguments: &PgEmbed) -> Result<(), Error> {
    super::runtime::run_single_threaded(appliance::pg_embed_child(&arguments.words))
}
