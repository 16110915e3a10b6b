//! What the appliance starts itself as. Not for people, so not in the help.

use std::ffi::OsString;

use clap::Args;

use super::Error;
use crate::appliance;

/// The process that prepares itself and then becomes a supervised child.
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub struct Supervised {
    /// The appliance's process id; the child must not outlive it.
    #[arg(long)]
    pub parent: i32,
    /// What the kernel sends the child when the appliance is gone.
    #[arg(long)]
    pub signal: String,
    /// The program and its arguments.
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
    /// What to do, as `managed::pg_embed` words it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Becomes the child; returns only when that fails.
pub fn supervised(arguments: &Supervised) -> Result<(), Error> {
    Err(appliance::supervised_child(arguments.parent, &arguments.signal, &arguments.command).into())
}

/// Serves mini-redis until its parent ends it.
pub fn mini_redis() -> Result<(), Error> {
    Ok(appliance::mini_redis_child()?)
}

/// Does pg-embed's part and ends.
#[cfg(feature = "download")]
pub fn pg_embed(arguments: &PgEmbed) -> Result<(), Error> {
    super::runtime::run_here(appliance::pg_embed_child(&arguments.words))
}
