//! Writes values of a changelog as SQL.

use crate::scalar::{is_date, is_number};
use crate::sql::{Dialect, literal};

/// A string; the word NULL in any case means NULL.
pub(super) fn string(text: &str) -> String {
    if text.eq_ignore_ascii_case("null") { "NULL".to_owned() } else { literal(text) }
}

/// A string for a row. Liquibase calls `now()` and `to_date(...)` even if they are given as a string.
pub(super) fn cell(text: &str) -> String {
    let function = text.eq_ignore_ascii_case("now()") || text.starts_with("to_date(");
    if function { text.to_owned() } else { string(text) }
}

pub(super) fn boolean(flag: bool) -> String {
    if flag { "TRUE" } else { "FALSE" }.to_owned()
}

/// A number without trailing zeros in its fraction. Other text is an expression.
pub(super) fn number(written: &str) -> String {
    if !is_number(written) || !written.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b',')) {
        return written.to_owned();
    }
    let plain = written.replace(',', "");
    match plain.split_once('.') {
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        },
        None => plain,
    }
}

/// A date, time or timestamp. Other text is an expression.
pub(super) fn date(written: &str) -> String {
    if is_date(written) { literal(&written.replacen('T', " ", 1)) } else { computed(written) }
}

/// An expression. Liquibase's words for the current time are written as `NOW()`.
pub(super) fn computed(expression: &str) -> String {
    let lower = expression.to_lowercase();
    let now = lower == "now()" || ["current_timestamp", "current_datetime"].iter().any(|word| lower.starts_with(word));
    if now { "NOW()".to_owned() } else { expression.to_owned() }
}

/// The next value of a sequence, whose name may contain a schema.
pub(super) fn next(schema: Option<&str>, sequence: &str, dialect: &Dialect) -> String {
    format!("nextval({})", literal(&sequence_name(schema, sequence, dialect)))
}

/// The value that the session took last from a sequence.
pub(super) fn current(schema: Option<&str>, sequence: &str, dialect: &Dialect) -> String {
    format!("currval({})", literal(&sequence_name(schema, sequence, dialect)))
}

fn sequence_name(schema: Option<&str>, sequence: &str, dialect: &Dialect) -> String {
    match sequence.split_once('.') {
        Some((schema, sequence)) => dialect.qualified_name(Some(schema), sequence),
        None => dialect.qualified_name(schema, sequence),
    }
}

pub(super) fn bytes(content: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * content.len() + 16);
    for byte in content {
        hex.push_str(&format!("{byte:02x}"));
    }
    format!("'\\x{hex}'::bytea")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_like_liquibase_writes_them() {
        for (written, sql) in
            [("1.50", "1.5"), ("10", "10"), ("2.0", "2"), ("1,000", "1000"), ("-0.25", "-0.25"), ("2+3", "2+3")]
        {
            assert_eq!(number(written), sql);
        }
        for (text, sql) in [("NULL", "NULL"), ("", "''"), ("O'Brien", "'O''Brien'"), ("Now()", "Now()")] {
            assert_eq!(cell(text), sql);
        }
        assert_eq!(date("2020-01-31T10:00:00"), "'2020-01-31 10:00:00'");
        assert_eq!(date("current_timestamp"), "NOW()");
        assert_eq!(bytes(&[0, 255]), "'\\x00ff'::bytea");
    }
}
