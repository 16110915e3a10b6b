//! Compares `attendance-api migrate`, as a binary on a real PostgreSQL, with recordings of the real Liquibase.
//!
//! The tests share one private server, and each creates its own databases. If a program is missing, the tests fail and name what to
//! install; they are never skipped.

#![expect(clippy::unwrap_used, clippy::panic, reason = "an unexpected result in a test helper fails the test")]

mod commands;
mod concurrent_starts;
mod crash_recovery;
mod golden;
#[path = "../../liquibase-compat/tests/support/private_postgres.rs"]
mod private_postgres;
#[path = "../../liquibase-compat/tests/support/recording.rs"]
mod recording;
mod scripts;
mod settings;
mod support;
mod unknown_names;
