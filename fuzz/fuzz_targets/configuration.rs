//! Reads arbitrary text as the configuration file, and as a flag.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (flag, file) = input;
    attendance_api::config::fuzzing::configuration(file, flag);
});
