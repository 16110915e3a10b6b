//! Splits arbitrary text as SQL, with an arbitrary delimiter.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, Option<&str>, bool)| {
    let (sql, delimiter, strip_comments) = input;
    liquibase_compat::fuzzing::split(sql, delimiter, strip_comments);
});
