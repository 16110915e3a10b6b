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

mod access_bad_input;
mod access_browser;
mod access_cache;
mod access_commands;
mod access_connections;
mod access_narrowing;
mod access_off;
mod access_revocation;
mod access_routes;
mod access_sessions;
mod access_tables;
mod backup;
mod base_path;
mod bulk_load;
mod caching;
mod cli;
mod cluster_repair;
mod compression;
mod concurrent_changes;
mod concurrent_requests;
mod connections;
mod cors;
mod crash_recovery;
mod data_dir_names;
mod data_dir_owner;
mod defects;
mod directory;
mod erasure;
mod erasure_accounts;
mod external;
mod external_states;
mod foreign_writes;
mod freshness;
mod freshness_views;
mod full_disk;
mod home;
mod lenient_create;
mod logs;
mod memory_limit;
mod metrics;
mod migrations;
mod openapi;
mod overload;
mod overload_lists;
mod pooler;
mod protocol;
mod proxies;
mod record_changes;
mod record_lists;
mod redis_states;
mod reference_replay;
mod reload;
mod roles;
mod service_manager;
mod slow_readers;
mod startup_errors;
mod stop;
mod supervision;
mod support;
mod swagger;
mod utf8_answers;
mod views_exact;
mod wire_create;
mod wire_dates;
mod wire_errors;
mod wire_health;
mod wire_methods;
mod wire_search;
mod wire_search_all;
mod wire_views;
