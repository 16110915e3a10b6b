//! The attendance appliance.
#![allow(dead_code, unused_imports, reason = "the parts are joined elsewhere")]

mod attendance;
mod config;
mod http;
mod managed;
mod telemetry;

fn main() {}
