//! The configuration of the appliance, as types.
//!
//! Policy: everything is checked before anything is started. A [`Config`] that exists is valid, so code that is given one never
//! checks it again. Times are [`Duration`](std::time::Duration), sizes are bytes, secrets are [`Secret`] and never print.
//!
//! Each section of the file is a module that declares its keys once (`section.rs`). `layers.rs` reads the defaults, the file, the
//! environment and the flags into `settings.rs`; `config.rs` reads the settings into a [`Config`].

mod api;
mod attendance;
mod auth;
mod backup;
mod backup_keep;
mod base_path;
mod choice;
#[allow(clippy::module_inception, reason = "the module of the type Config; this one is the facade of all")]
mod config;
mod cors;
mod data_dir;
mod employees;
mod environment;
mod explain;
mod file;
mod flags;
#[cfg(fuzzing)]
pub mod fuzzing;
mod key;
mod kind;
mod layers;
mod load;
mod log;
mod migrations;
mod network;
mod origin;
mod pooler;
mod postgres;
mod problem;
mod redis;
mod secret;
mod section;
mod server;
mod setting_names;
mod settings;
mod show;
mod ssl_mode;
mod suggest;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod time_of_day;
mod time_zone;
mod typed;
mod units;
mod url;
mod web_origin;
mod weekdays;
mod yaml;

pub use api::{Api, DateFormat};
pub use attendance::Attendance;
pub use auth::{Auth, AuthMode, MetricsAccess};
pub use backup::{Backup, Verify};
pub use backup_keep::Keep;
pub use config::Config;
pub use cors::Cors;
pub use employees::Employees;
pub use environment::Environment;
pub use explain::{UnknownName, explain};
pub use flags::Flags;
pub use key::Key;
pub use load::{Changes, Loaded, load};
pub use log::{Log, LogFormat, LoggedRequests};
pub use migrations::Migrations;
pub use network::Network;
pub use pooler::Pooler;
pub use postgres::{ExternalPostgres, ManagedPostgresConfig, Postgres, PostgresService};
pub use problem::Error;
pub use redis::{ExternalRedis, ManagedRedisConfig, Redis, RedisService};
pub use secret::Secret;
pub use server::Server;
pub use setting_names::SettingNames;
pub use ssl_mode::SslMode;
pub use suggest::nearest;
pub use table::Section;
pub use template::{Documentation, documentation, template};
pub use time_of_day::TimeOfDay;
pub use time_zone::TimeZone;
pub use url::{Error as UrlError, PostgresUrl, postgres as parse_postgres_url};
pub use web_origin::AllowedOrigin;
pub use weekdays::Weekdays;
