//! The whole configuration, and the table of its keys.

use std::path::PathBuf;

use super::api::{self, Api};
use super::attendance::{self, Attendance};
use super::auth::{self, Auth};
use super::backup::{self, Backup};
use super::backup_keep;
use super::cors;
use super::data_dir;
use super::employees::{self, Employees};
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
    &cors::SECTION,
    &auth::SECTION,
    &api::SECTION,
    &attendance::SECTION,
    &employees::SECTION,
    &postgres::SECTION,
    &migrations::SECTION,
    &redis::SECTION,
    &backup::SECTION,
    &backup_keep::SECTION,
    &log::SECTION,
]);

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory of the data, of the unpacked PostgreSQL and of the lock. Absolute.
    pub data_dir: PathBuf,
    /// The HTTP server.
    pub server: Server,
    /// Who may use the API.
    pub auth: Auth,
    /// The form of the answers.
    pub api: Api,
    /// The rules of attendance.
    pub attendance: Attendance,
    /// The directory of employees.
    pub employees: Employees,
    /// The database: managed or external.
    pub postgres: Postgres,
    /// The schema: which changelog, and which part of it.
    pub migrations: Migrations,
    /// The cache: managed, external or off.
    pub redis: Redis,
    /// When backups are made, and which are kept.
    pub backup: Backup,
    /// What is written to standard output.
    pub log: Log,
}

impl Config {
    /// Reads every section; contradictions join the problems of the settings. `None` always comes with a problem.
    pub(super) fn resolve(settings: &mut Settings, environment: &Environment) -> Option<Self> {
        let data_dir = data_dir::resolve(settings, environment);
        let server = server::resolve(settings);
        let auth = auth::resolve(settings);
        let api = api::resolve(settings);
        let attendance = attendance::resolve(settings);
        let employees = employees::resolve(settings);
        let postgres = postgres::resolve(settings);
        let migrations = migrations::resolve(settings);
        let redis = redis::resolve(settings);
        let backup = backup::resolve(settings);
        let log = log::resolve(settings);
        Some(Self {
            data_dir: data_dir?,
            server: server?,
            auth: auth?,
            api: api?,
            attendance: attendance?,
            employees: employees?,
            postgres: postgres?,
            migrations: migrations?,
            redis: redis?,
            backup: backup?,
            log: log?,
        })
    }

    /// Takes over the values of those keys that change without a restart.
    pub fn take_reloadable(&mut self, changed: &Self) {
        self.server.take_reloadable(&changed.server);
        self.server.cors.take_reloadable(&changed.server.cors);
        self.auth.take_reloadable(&changed.auth);
        self.api.take_reloadable(&changed.api);
        self.attendance.take_reloadable(&changed.attendance);
        self.employees.take_reloadable(&changed.employees);
        self.postgres.take_reloadable(&changed.postgres);
        self.migrations.take_reloadable(&changed.migrations);
        self.redis.take_reloadable(&changed.redis);
        self.backup.take_reloadable(&changed.backup);
        self.backup.keep.take_reloadable(&changed.backup.keep);
        self.log.take_reloadable(&changed.log);
    }
}
