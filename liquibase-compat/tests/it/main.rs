//! Everything that needs a database: on a real PostgreSQL, one database a test.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test that meets the unexpected ends the test")]

mod adoption;
mod checksums;
mod files;
mod golden;
mod includes;
mod locking;
mod modify;
#[path = "../support/private_postgres.rs"]
mod private_postgres;
mod properties;
mod support;
mod updates;
