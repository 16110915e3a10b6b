//! The attendance appliance as a library: the binary is a thin layer over it, so that tests, benchmarks and examples reach the same code.
//!
//! Policy: a module imports only what is below it, and no two files import each other.
//!
//! ```text
//! main.rs ─ cli ─ appliance ─┬─ http ─┬─ attendance ─┬─ cache ──── redis
//!                            │        └─ access ─────┴─ database ─ tokio-postgres, liquibase-compat
//!                            ├─ operate ── managed
//!                            └─ telemetry · config · peer_counts · priority
//! ```
//!
//! `cargo test --test layers` checks it.

pub mod access;
pub mod appliance;
pub mod attendance;
pub mod cache;
pub mod cli;
pub mod config;
pub mod database;
pub mod http;
pub mod managed;
pub mod operate;
pub mod peer_counts;
pub mod priority;
pub mod telemetry;
