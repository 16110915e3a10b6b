//! The integration tests: one binary, one module for each topic, real processes.
//!
//! Each test uses the appliance as its users do: the built program, over HTTP, with a real PostgreSQL, a real
//! `redis-server`, a real browser. If one of these is missing, the test fails and says what to install.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test helper fails the test and prints the reason to stderr"
)]

mod bulk_load;
mod caching;
mod cli;
mod concurrent_requests;
mod crash_recovery;
mod data_dir_owner;
mod defects;
mod external;
mod freshness;
mod logs;
mod metrics;
mod migrations;
mod openapi;
mod overload;
mod protocol;
mod reference_replay;
mod reload;
mod roles;
mod service_manager;
mod startup_errors;
mod stop;
mod supervision;
mod support;
mod swagger;
mod wire_create;
mod wire_dates;
mod wire_errors;
mod wire_health;
mod wire_methods;
mod wire_search;
mod wire_search_all;
