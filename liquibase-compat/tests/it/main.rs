//! Tests on a real PostgreSQL, each with its own database.

#![expect(clippy::unwrap_used, clippy::panic, reason = "an unexpected result in a test helper fails the test")]
#![expect(clippy::disallowed_methods, reason = "its sessions belong to its connections alone")]

mod checksums;
mod embedded_changelog;
mod external_files;
mod golden;
mod includes;
mod locking;
mod modify_sql;
#[path = "../support/private_postgres.rs"]
mod private_postgres;
mod properties;
#[path = "../support/recording.rs"]
mod recording;
mod run_ahead;
mod support;
mod updates;
