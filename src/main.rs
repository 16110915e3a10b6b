//! The attendance appliance.

mod attendance;
mod config;
mod database;
mod managed;
mod telemetry;

fn main() {}
