//! Any text as a changelog in a file that ends in `.yaml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| liquibase_compat::fuzzing::changelog("log.yaml", text));
