//! Start order and stop order of the whole.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// Why the appliance failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The parts are joined elsewhere.
    #[error("the appliance is not joined together in this build; use one that is")]
    NotJoined,
}

/// What to do besides serving.
#[derive(Debug)]
pub struct Options {
    /// The configuration file that was read, for the log.
    pub config_file: Option<PathBuf>,
    /// The user the process became because it was started as root, for the log.
    pub user: Option<String>,
    /// Records to store once the schema is up to date, before anybody is served.
    pub samples: Vec<Sample>,
    /// Told once, when the first request can be answered.
    pub ready: fn(&Ready),
}

/// One sample record, as a client would send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Employee.
    pub id: String,
    /// Name.
    pub name: String,
    /// Attendance.
    pub status: String,
    /// `YYYY-MM-DD`
    pub date: String,
}

/// What a started appliance can say about itself.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The address it listens on, with the real port.
    pub listen: SocketAddr,
    /// The data directory.
    pub data_dir: PathBuf,
    /// PostgreSQL: origin and version.
    pub postgres: String,
    /// Redis: kind and address.
    pub redis: String,
}

/// `migrate`: what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migration {
    /// Run what is pending.
    Update,
    /// Say what is pending.
    Status,
}

/// Runs the appliance until it is told to stop (SIGTERM, SIGINT).
pub async fn run(_config: Config, _options: Options) -> Result<(), Error> {
    Err(Error::NotJoined)
}

/// Starts PostgreSQL alone (or connects to it), migrates or looks, and stops it; the report is for a person.
pub async fn migrate(_config: Config, _migration: Migration) -> Result<String, Error> {
    Err(Error::NotJoined)
}

/// Which managed PostgreSQL would be used: origin and version. Starts and writes nothing.
pub fn describe_postgres(_config: &Config) -> Result<String, Error> {
    Err(Error::NotJoined)
}

/// The version of the embedded PostgreSQL, where one is embedded.
pub fn embedded_postgres() -> Option<String> {
    None
}

/// The OpenAPI document.
pub fn openapi() -> String {
    "{}".to_owned()
}

/// Started as root: becomes an unprivileged user and returns its name. Before any thread is started.
pub fn drop_privileges(_data_dir: &Path) -> Result<Option<String>, Error> {
    Ok(None)
}

/// Becomes a supervised child; returns only when that fails.
pub fn supervised_child(_parent: i32, _signal: &str, _command: &[OsString]) -> Error {
    Error::NotJoined
}

/// Serves mini-redis on the socket passed as standard input.
pub fn mini_redis_child() -> Result<(), Error> {
    Err(Error::NotJoined)
}

/// What pg-embed does, in a process of its own.
#[cfg(feature = "download")]
pub async fn pg_embed_child(_words: &[OsString]) -> Result<(), Error> {
    Err(Error::NotJoined)
}
