//! Reads arbitrary text as a changelog whose file name ends with `.xml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| liquibase_compat::fuzzing::changelog("log.xml", text));
