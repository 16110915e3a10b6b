//! Reads arbitrary text as the rows of a data file, with an arbitrary separator and quote.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, char, Option<char>)| {
    let (text, separator, quote) = input;
    liquibase_compat::fuzzing::csv(text, separator, quote);
});
