//! PostgreSQL and Redis as child processes of the appliance.
//!
//! Policy: the appliance contains the services that it needs and supervises them. A child ends with the appliance, is restarted when it
//! exits while the appliance runs, never runs as root, and accepts connections only from the user of the appliance. `postgres`
//! and `redis` are the two children, and `process` is their common supervision; `distribution` selects the PostgreSQL and `cluster` manages
//! its data. This module imports `database`, which defines and makes connections to PostgreSQL, and `config`; it knows nothing of
//! attendance or HTTP.

mod cluster;
mod command;
pub mod data_dir;
mod data_dir_owner;
pub mod distribution;
mod embedded;
mod helper;
mod installation;
mod io_remedy;
pub mod lock;
pub mod memory;
pub mod mini_redis;
mod output;
mod output_limit;
#[cfg(feature = "download")]
pub mod pg_embed;
pub mod postgres;
pub mod privileges;
mod process;
#[cfg(test)]
mod process_tests;
pub mod redis;
mod roles;
mod run_dir;
mod secret_file;
pub mod shim;
mod spawner;
mod stale_processes;
mod status;
#[cfg(test)]
mod testing;

pub use status::{ChildState, ChildStatus};
