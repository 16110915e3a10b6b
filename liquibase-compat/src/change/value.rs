//! Writes values of a changelog as SQL.

use crate::scalar::{is_date, number_at_start};
use crate::sql::{Dialect, Value, literal};

/// A string; the word NULL in any case means NULL.
pub(super) fn string(text: &str) -> String {
    if text.eq_ignore_ascii_case("null") { "NULL".to_owned() } else { literal(text) }
}

/// A string for a row. Liquibase calls `now()` and `to_date(...)` even if they are given as a string.
pub(super) fn cell(text: &str) -> String {
    if is_function(text) { text.to_owned() } else { string(text) }
}

/// Whether Liquibase takes a string for the call of a function.
pub(super) fn is_function(text: &str) -> bool {
    text.eq_ignore_ascii_case("now()") || text.starts_with("to_date(")
}

/// A string that is bound to a prepared statement, where it has a type.
pub(super) fn bound_text(text: &str) -> String {
    format!("{}::varchar", literal(text))
}

/// A number that is bound to a prepared statement: Java makes it a whole number or one of floating point, and ignores what follows it.
pub(super) fn bound_number(text: &str) -> String {
    let number = number_at_start(text);
    match number.parse::<f64>() {
        Ok(value) if value.fract() != 0.0 || value.abs() >= 9.2e18 => format!("{number}::float8"),
        Ok(value) => format!("{value:.0}"),
        Err(_) => text.to_owned(),
    }
}

pub(super) fn boolean(flag: bool) -> String {
    if flag { "TRUE" } else { "FALSE" }.to_owned()
}

/// A date, time or timestamp. Other text is an expression.
pub(super) fn date(written: &str) -> String {
    match date_or_expression(written) {
        Value::Expression(sql) => sql,
        _ => literal(&written.replacen('T', " ", 1)),
    }
}

/// A date, or the expression that stands in its place.
pub(super) fn date_or_expression(written: &str) -> Value<'_> {
    if is_date(written) { Value::Date(written) } else { Value::Expression(computed(written)) }
}

/// An expression. Liquibase's words for the current time are written as `NOW()`.
pub(super) fn computed(expression: &str) -> String {
    let lower = expression.to_lowercase();
    let now = lower == "now()" || ["current_timestamp", "current_datetime"].iter().any(|word| lower.starts_with(word));
    if now { "NOW()".to_owned() } else { expression.to_owned() }
}

/// The next value of a sequence.
pub(super) fn next(schema: Option<&str>, sequence: &str, dialect: &Dialect) -> String {
    format!("nextval({})", literal(&sequence_name(schema, sequence, dialect)))
}

/// The value that the session took last from a sequence.
pub(super) fn current(schema: Option<&str>, sequence: &str, dialect: &Dialect) -> String {
    format!("currval({})", literal(&sequence_name(schema, sequence, dialect)))
}

fn sequence_name(schema: Option<&str>, sequence: &str, dialect: &Dialect) -> String {
    dialect.qualified_name(schema, sequence)
}

/// The bytes as a value of a column of this PostgreSQL type. A column of type `oid` gets a large object with them, as with JDBC.
pub(super) fn bytes_for(content: &[u8], column_type: Option<&str>) -> String {
    match column_type {
        Some("oid") => format!("lo_from_bytea(0, {})", bytes(content)),
        _ => bytes(content),
    }
}

fn bytes(content: &[u8]) -> String {
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
        for (text, sql) in [("NULL", "NULL"), ("", "''"), ("O'Brien", "'O''Brien'"), ("Now()", "Now()")] {
            assert_eq!(cell(text), sql);
        }
        assert_eq!(date("2020-01-31T10:00:00"), "'2020-01-31 10:00:00'");
        assert_eq!(date("current_timestamp"), "NOW()");
        assert_eq!(bytes(&[0, 255]), "'\\x00ff'::bytea");
        assert_eq!(bound_text("NULL"), "'NULL'::varchar");
        for (text, sql) in
            [("1", "1"), ("1.0", "1"), ("1.50", "1.50::float8"), ("-2+3", "-2"), ("1E2x", "100"), ("NaN", "NaN")]
        {
            assert_eq!(bound_number(text), sql);
        }
    }
}
