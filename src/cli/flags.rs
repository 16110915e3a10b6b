//! The flags that set keys of the configuration.

use std::path::PathBuf;

use clap::Args;

use super::error::Error;
use crate::config::{self, Environment, Flags, Loaded};

/// The flags of every command that reads the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigFlags {
    /// Read this configuration file instead of the default one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory [default: /var/lib/attendance-api for root, else ~/.local/share/attendance-api]
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// Set one key of the configuration, for example log.level=debug; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigFlags {
    /// The flags in the form that the configuration expects.
    pub fn flags(&self) -> Flags {
        Flags { config: self.config.clone(), listen: None, data_dir: self.data_dir.clone(), set: self.set.clone() }
    }

    /// Loads the configuration with these flags.
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
