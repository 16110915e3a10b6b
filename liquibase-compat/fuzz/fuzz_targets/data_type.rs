//! Reads arbitrary text as a data type, with arbitrary text as the default of a column of the type.
#![no_main]

libfuzzer_sys::fuzz_target!(|texts: (&str, &str)| liquibase_compat::fuzzing::data_type(texts.0, texts.1));
