//! PostgreSQL and Redis as children of the appliance.
//!
//! Policy: the appliance brings what it needs, and looks after it. A child dies with the appliance, is restarted when it
//! dies alone, is never root, and is reachable only from this machine's own user. `postgres` and `redis` are the two
//! children; `process` is the supervision they share; `distribution` decides which PostgreSQL it is and `cluster` where its
//! data is. The modules know nothing of attendance, HTTP or the configuration file.

mod cluster;
mod command;
pub mod data_dir;
pub mod distribution;
mod embedded;
mod helper;
pub mod lock;
pub mod memory;
pub mod mini_redis;
mod output;
#[cfg(feature = "download")]
pub mod pg_embed;
pub mod postgres;
pub mod privileges;
mod process;
#[cfg(test)]
mod process_tests;
pub mod redis;
mod run_dir;
pub mod shim;
mod spawner;
mod stale_processes;
mod status;
#[cfg(test)]
mod testing;

pub use status::{ChildState, ChildStatus};
