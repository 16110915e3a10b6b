//! The flags that have a say in the configuration.

use std::path::PathBuf;

use clap::Args;

use super::Error;
use crate::config::{self, Environment, Flags, Loaded};

/// Flags every command that reads the configuration takes.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigFlags {
    /// Read this configuration file instead of the one found by itself
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep the data here [default: /var/lib/attendance-api for root, else ~/.local/share/attendance-api]
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// Set one key of the configuration, for example log.level=debug; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigFlags {
    /// The flags as the configuration takes them.
    pub fn flags(&self) -> Flags {
        Flags { config: self.config.clone(), listen: None, data_dir: self.data_dir.clone(), set: self.set.clone() }
    }

    /// Loads the configuration these flags lead to.
    ///
    /// # Errors
    /// Every problem of the configuration.
    pub fn load(&self) -> Result<Loaded, Error> {
        load(&self.flags())
    }
}

/// Loads the configuration of this process.
///
/// # Errors
/// Every problem of the configuration.
pub fn load(flags: &Flags) -> Result<Loaded, Error> {
    Ok(config::load(flags, &Environment::of_process())?)
}
