//! Follows the framing of arbitrary input, whole and in two pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (usize, &[u8])| {
    let (cut, bytes) = input;
    attendance_api::http::fuzzing::framing(bytes, cut % (bytes.len() + 1));
});
