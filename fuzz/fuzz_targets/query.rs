//! Parses arbitrary queries.
#![no_main]

libfuzzer_sys::fuzz_target!(|query: &str| attendance_api::http::fuzzing::parse_query(query));
