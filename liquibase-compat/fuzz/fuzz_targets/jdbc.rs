//! Replaces the JDBC escapes and the question marks in arbitrary text.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| liquibase_compat::fuzzing::jdbc(text));
