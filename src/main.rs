//! The attendance appliance.

mod attendance;
mod config;
mod managed;
mod telemetry;

fn main() {}
