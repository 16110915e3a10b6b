//! The configuration of the appliance, as types.
//!
//! Policy: everything is checked before anything is started. A [`Config`] that exists is valid, so code that is given one never
//! checks it again. Times are [`Duration`](std::time::Duration), sizes are bytes, secrets are [`Secret`] and never print.
//!
//! Each section of the file is a module that declares its keys once (`section.rs`). `layers.rs` reads the defaults, the file, the
//! environment and the flags into `settings.rs`; `config.rs` reads the settings into a [`Config`].

mod api;
mod choice;
#[allow(clippy::module_inception, reason = "the module of the type Config; this one is the facade of all")]
mod config;
mod data_dir;
mod environment;
mod file;
mod flags;
mod key;
mod kind;
mod layers;
mod load;
mod log;
mod migrations;
mod origin;
mod postgres;
mod problem;
mod redis;
mod secret;
mod section;
mod server;
mod settings;
mod show;
mod ssl_mode;
mod suggest;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod typed;
mod units;
mod url;
mod yaml;

pub use api::{Api, DateFormat};
pub use config::Config;
pub use environment::Environment;
pub use flags::Flags;
pub use key::Key;
pub use load::{Changes, Loaded, load};
pub use log::{Access, Log, LogFormat};
pub use migrations::Migrations;
pub use postgres::{ExternalPostgres, ManagedPostgresConfig, Postgres, PostgresService};
pub use problem::Error;
pub use redis::{ExternalRedis, ManagedRedisConfig, Redis, RedisService};
pub use secret::Secret;
pub use server::Server;
pub use ssl_mode::SslMode;
pub use table::Section;
pub use template::{Documentation, documentation, template};
pub use url::{Error as UrlError, PostgresUrl, postgres as parse_postgres_url};
