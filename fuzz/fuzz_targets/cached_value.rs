//! Decodes arbitrary bytes as a value that Redis holds.
#![no_main]

use std::sync::Arc;

use attendance_api::attendance::Content;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attendance_api::cache::fuzzing::stored_value::<Arc<Content>>(bytes));
