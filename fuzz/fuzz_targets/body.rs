//! Reads arbitrary bytes as the body of a create.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attendance_api::http::fuzzing::body(bytes));
