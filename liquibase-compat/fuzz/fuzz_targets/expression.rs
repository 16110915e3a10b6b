//! Evaluates arbitrary text as a context expression, with arbitrary text as the contexts of the run.
#![no_main]

libfuzzer_sys::fuzz_target!(|texts: (&str, &str)| liquibase_compat::fuzzing::expression(texts.0, texts.1));
