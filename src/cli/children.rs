//! What the appliance starts itself as. Not for people, so not in the help.

use std::ffi::OsString;

use clap::Args;

use super::Failure;
use crate::appliance;

/// The process that prepares itself and then becomes a supervised child.
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub struct Supervised {
    /// Passed on as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// The process that serves mini-redis.
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct MiniRedis {}

/// Becomes the child; returns only when that fails.
pub fn supervised(arguments: Supervised) -> Result<(), Failure> {
    match appliance::supervised_child(arguments.words)? {}
}

/// Serves mini-redis until its parent ends it.
pub fn mini_redis() -> Result<(), Failure> {
    Ok(appliance::mini_redis_child()?)
}
