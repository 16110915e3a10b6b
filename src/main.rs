//! The attendance appliance.

mod config;
mod managed;

fn main() {}
