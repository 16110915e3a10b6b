//! The whole configuration, and the table of its keys.

use std::path::PathBuf;

use super::api::{self, Api};
use super::data_dir;
use super::environment::Environment;
use super::log::{self, Log};
use super::migrations::{self, Migrations};
use super::postgres::{self, Postgres};
use super::redis::{self, Redis};
use super::section::KeyGroup;
use super::server::{self, Server};
use super::settings::Settings;
use super::table::Table;

/// Every key, in the order of the template.
pub static TABLE: Table = Table(&[
    &data_dir::SECTION,
    &server::SECTION,
    &api::SECTION,
    &postgres::SECTION,
    &migrations::SECTION,
    &redis::SECTION,
    &log::SECTION,
]);

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory of the data, of the unpacked PostgreSQL and of the lock. Absolute.
    pub data_dir: PathBuf,
    /// The HTTP server.
    pub server: Server,
    /// The form of the answers.
    pub api: Api,
    /// The database: managed or external.
    pub postgres: Postgres,
    /// The schema: which changelog, and which part of it.
    pub migrations: Migrations,
    /// The cache: managed, external or off.
    pub redis: Redis,
    /// What is written to standard output.
    pub log: Log,
}

impl Config {
    /// Reads every section; contradictions join the problems of the settings. `None` always comes with a problem.
    pub(super) fn resolve(settings: &mut Settings, environment: &Environment) -> Option<Self> {
        let data_dir = data_dir::resolve(settings, environment);
        let server = server::resolve(settings);
        let api = api::resolve(settings);
        let postgres = postgres::resolve(settings);
        let migrations = migrations::resolve(settings);
        let redis = redis::resolve(settings);
        let log = log::resolve(settings);
        Some(Self {
            data_dir: data_dir?,
            server: server?,
            api: api?,
            postgres: postgres?,
            migrations: migrations?,
            redis: redis?,
            log: log?,
        })
    }

    /// Takes over the values of those keys that change without a restart.
    pub fn take_reloadable(&mut self, changed: &Self) {
        self.server.take_reloadable(&changed.server);
        self.api.take_reloadable(&changed.api);
        self.postgres.take_reloadable(&changed.postgres);
        self.migrations.take_reloadable(&changed.migrations);
        self.redis.take_reloadable(&changed.redis);
        self.log.take_reloadable(&changed.log);
    }
}
