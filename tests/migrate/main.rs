//! `attendance-api migrate`, the real binary on a real PostgreSQL, against what the real Liquibase did.
//!
//! One private server for the whole run; each test makes its own databases in it. What is missing is a failure that says what to
//! install, never a skip.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test that meets the unexpected ends the test")]

mod adopt;
mod commands;
mod golden;
mod killed;
#[path = "../../liquibase-compat/tests/support/private_postgres.rs"]
mod private_postgres;
mod scripts;
mod support;
mod together;
