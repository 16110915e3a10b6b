//! Operation of the database: backups, their verification, and restores.
//!
//! Policy: no partial result has the name of a complete one. A backup is written under a temporary name; a restore makes a cluster of its own,
//! verifies it, and then exchanges it through a journal, which the next start finishes or undoes. Every byte of a backup is covered by a check,
//! and memory is bounded whatever its size. `create`, `verify` and `restore` are the operations; `archive` is the form of the file, `loader` brings it into a
//! cluster. This module works with PostgreSQL through `managed` and `database`; it is independent of HTTP and of requests.

mod archive;
mod archive_limit;
mod archive_reader;
mod archive_retention;
mod archive_server;
mod archive_status;
mod archive_upkeep;
mod archive_work;
mod archive_writer;
pub mod archiver;
pub mod backup_file;
mod backup_keys;
mod base_backup;
pub mod base_description;
pub mod clock;
pub mod control;
pub mod create;
mod database_settings;
pub mod decryption;
mod directory;
pub mod encryption;
mod error;
mod fault;
mod file_lock;
mod file_worker;
pub mod forget;
mod frames;
mod globals;
mod inventory;
pub mod journal;
pub mod layout;
pub mod lineage;
pub mod list;
pub mod loader;
mod manifest;
pub mod operator;
mod ownership;
mod pace;
pub mod point_in_time;
pub mod restore;
pub mod retention;
pub mod schedule;
pub mod scratch;
mod source;
mod space;
pub mod state;
mod stream;
pub mod verify;
mod wal_rate;
mod wal_segment;

pub use archive_writer::{ArchiveWriter, Sink};
pub use backup_keys::BackupKeys;
pub use error::Error;
pub use file_lock::FileLock;
pub use file_worker::FileWorker;
pub use inventory::Inventory;
pub use manifest::{Manifest, Trigger};
pub use ownership::Owner;
pub use source::Source;
