//! PostgreSQL and Redis as child processes of the appliance.
//!
//! Policy: the appliance contains the services that it needs and supervises them. A child ends with the appliance, is restarted when it
//! exits while the appliance runs, never runs as root, and accepts connections only from the user of the appliance. `postgres`
//! and `redis` are the two children, and `process` is their common supervision; `distribution` selects the PostgreSQL and `cluster` manages
//! its data. This module imports `database`, which defines and makes connections to PostgreSQL, and `config`; it is independent of
//! attendance or HTTP.

mod app_database;
pub mod client_programs;
mod cluster;
mod command;
mod config_files;
pub mod data_dir;
mod data_dir_owner;
pub mod data_disk;
pub mod distribution;
mod embedded;
mod endpoint;
pub mod helper;
mod ignored_signals;
mod initdb;
pub mod installation;
mod io_remedy;
pub mod lock;
pub mod memory;
pub mod mini_redis;
mod output;
mod output_limit;
#[cfg(feature = "download")]
pub mod pg_embed;
pub mod piped_program;
pub mod postgres;
mod postgres_error;
mod postgres_server;
pub mod privileges;
mod process;
#[cfg(test)]
mod process_tests;
pub mod redis;
mod role_guard;
mod roles;
pub mod run_dir;
pub mod scratch_cluster;
pub mod secret_file;
pub mod shell_command;
pub mod shim;
mod spawner;
mod stale_processes;
mod status;
mod superuser;
#[cfg(test)]
pub(crate) mod testing;
pub mod wal_receiver;
mod write_behind;

pub use endpoint::Endpoint;
pub use piped_program::PipedProgram;
pub use status::{ChildState, ChildStatus};
