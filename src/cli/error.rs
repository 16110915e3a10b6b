//! How a command can fail, and the exit status that says so.

use std::io;
use std::path::PathBuf;

use super::{healthcheck, migrate};
use crate::appliance;
use crate::config;

/// Error of any kind that has no status of its own.
const FAILED: u8 = 1;
/// The database is a newer version's, as sysexits.h numbers data that cannot be used: no restart mends it.
const NEWER_DATABASE: u8 = 65;
/// The address cannot be listened on, as sysexits.h numbers a service that is unavailable: trying again every moment would only
/// push the reason out of sight.
const NO_ADDRESS: u8 = 69;
/// A wrong configuration, as sysexits.h numbers it.
const CONFIGURATION: u8 = 78;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Configuration(#[from] config::Error),
    /// `config check`: the configuration is well-formed, but its PostgreSQL cannot be used.
    #[error("the PostgreSQL of this configuration cannot be used")]
    Postgres(#[source] appliance::Error),
    /// The appliance could not start, or ended by an error.
    #[error(transparent)]
    Appliance(#[from] appliance::Error),
    /// A `migrate` command failed.
    #[error(transparent)]
    Migrate(#[from] migrate::Error),
    /// The health check did not find a healthy appliance.
    #[error(transparent)]
    Unhealthy(#[from] healthcheck::Error),
    /// The operating system gives no threads.
    #[error("cannot start the worker threads; is the limit of processes or memory reached?")]
    Runtime(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// A page cannot be written.
    #[error("cannot write {}; name an existing directory that can be written", .path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory of a demonstration cannot be made.
    #[error("cannot make a directory for the demonstration in {}; set TMPDIR to a directory that can be written", .path.display())]
    DemoDirectory {
        /// Where it was to be.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory of a demonstration is left behind.
    #[error("cannot remove the demonstration's directory {}; remove it by hand", .path.display())]
    DemoLeftover {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::Postgres(_) => CONFIGURATION,
            Self::Appliance(error) if error.is_newer_database() => NEWER_DATABASE,
            Self::Appliance(error) if error.is_address() => NO_ADDRESS,
            _ => FAILED,
        }
    }
}
