//! Routes arbitrary request targets, and parses their queries.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (method, target) = input;
    attendance_api::http::fuzzing::target(method, target);
    attendance_api::http::fuzzing::target("GET", target);
});
