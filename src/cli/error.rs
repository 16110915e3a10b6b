//! The errors of commands, and the exit status of each.

use std::io;
use std::path::PathBuf;

use super::migrate_error;
use super::probe;
use crate::appliance;
use crate::config;

/// Wrong usage of the command line, as in sysexits.h.
pub const USAGE: u8 = 64;
/// Any error that has no status of its own.
const FAILED: u8 = 1;
/// A newer version has migrated the database (sysexits.h: data error). A restart does not help.
const NEWER_DATABASE: u8 = 65;
/// The address cannot be listened on (sysexits.h: service unavailable). Frequent restarts would only hide the reason among their
/// log lines.
const NO_ADDRESS: u8 = 69;
/// The configuration is wrong (sysexits.h: configuration error).
const CONFIGURATION: u8 = 78;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Configuration(#[from] config::Error),
    /// `config explain` with an unknown name.
    #[error(transparent)]
    UnknownName(#[from] config::UnknownName),
    /// `config check`: the configuration is well-formed, but its PostgreSQL cannot be used.
    #[error("the PostgreSQL of this configuration cannot be used")]
    Postgres(#[source] appliance::Error),
    /// The appliance could not start, or ended with an error.
    #[error(transparent)]
    Appliance(#[from] appliance::Error),
    /// A `migrate` command failed.
    #[error(transparent)]
    Migrate(#[from] migrate_error::Error),
    /// The appliance is not known to be healthy.
    #[error(transparent)]
    Unhealthy(#[from] probe::Error),
    /// The operating system could not start threads.
    #[error("cannot start the worker threads; is the limit of processes or memory reached?")]
    Runtime(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// The passphrase cannot be read.
    #[error("the passphrase cannot be read from the terminal; name a file with --passphrase-file")]
    Passphrase(#[source] io::Error),
    /// The passphrase was not entered twice.
    #[error("the passphrase is empty, or the two entries differ; try again")]
    PassphrasesDiffer,
    /// A relative path cannot be completed.
    #[error("the path {} cannot be completed; give an absolute one", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A password cannot be asked for.
    #[error("a password cannot be asked for without a terminal; use --password-file")]
    Terminal(#[source] io::Error),
    /// The two answers are different passwords.
    #[error("the two passwords differ; nothing was changed")]
    PasswordsDiffer,
    /// The file of a password cannot be read.
    #[error("the password cannot be read from {}", .path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A man page cannot be written.
    #[error("cannot write {}; name an existing directory that can be written", .path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory of a demonstration cannot be created.
    #[error("cannot create a directory for the demonstration in {}; set TMPDIR to a directory that can be written", .path.display())]
    DemoDirectory {
        /// Where it was to be created.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory of a demonstration cannot be removed.
    #[error("cannot remove the directory of the demonstration, {}; remove it yourself", .path.display())]
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
            Self::UnknownName(_) => USAGE,
            Self::Configuration(_) | Self::Postgres(_) => CONFIGURATION,
            Self::Appliance(error) if error.is_newer_database() => NEWER_DATABASE,
            Self::Appliance(error) if error.is_address() => NO_ADDRESS,
            _ => FAILED,
        }
    }
}
