//! Numbers and dates as Java reads and prints them.

/// The classes of `java.sql` for dates and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DateKind {
    Date,
    Time,
    Timestamp,
}

/// What a text that is a date contains.
pub(super) fn date_kind(date: &str) -> DateKind {
    match date.len() {
        8 => DateKind::Time,
        10 => DateKind::Date,
        _ => DateKind::Timestamp,
    }
}

/// A date for a literal: a blank between date and time, and no zeros at the end of the fraction.
pub(super) fn date_literal(date: &str) -> String {
    let date = date.replacen('T', " ", 1);
    match date.split_once('.') {
        Some((seconds, fraction)) => match fraction.trim_end_matches('0') {
            "" => seconds.to_owned(),
            fraction => format!("{seconds}.{fraction}"),
        },
        None => date,
    }
}

/// As Java prints it: a timestamp always has a fraction.
pub(super) fn date_text(date: &str) -> String {
    let literal = date_literal(date);
    if date_kind(date) == DateKind::Timestamp && !literal.contains('.') { literal + ".0" } else { literal }
}

/// Removes a fraction that consists of zeros.
pub(super) fn without_zero_fraction(number: &str) -> &str {
    match number.rsplit_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0') => whole,
        _ => number,
    }
}

/// The number at the beginning of a text, as Java's `NumberFormat` reads it and prints it; `None` if there is none.
///
/// Commas group digits, an exponent has a capital E, and the text behind the number is ignored.
pub(crate) fn parse_number(text: &str) -> Option<String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let mut digits = String::new();
    let mut is_fraction = false;
    let mut chars = rest.char_indices().peekable();
    let mut end = rest.len();
    while let Some((index, c)) = chars.next() {
        let next_is_digit = chars.peek().is_some_and(|(_, next)| next.is_ascii_digit());
        match c {
            '0'..='9' => digits.push(c),
            ',' if !is_fraction && !digits.is_empty() && next_is_digit => {}
            '.' if !is_fraction => {
                is_fraction = true;
                digits.push('.');
            }
            _ => {
                end = index;
                break;
            }
        }
    }
    if !digits.bytes().any(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let exponent = rest[end..].strip_prefix('E').map_or("", exponent);
    let is_whole = exponent.is_empty() && !digits.trim_end_matches('0').trim_end_matches('.').contains('.');
    let whole = digits.split('.').next().unwrap_or_default();
    if is_whole && let Ok(number) = format!("{sign}{}", if whole.is_empty() { "0" } else { whole }).parse::<i64>() {
        // Java reads a negative zero as a floating-point number.
        return Some(if number == 0 && !sign.is_empty() { "-0.0".to_owned() } else { number.to_string() });
    }
    let number: f64 = format!("{sign}0{digits}e{}", if exponent.is_empty() { "0" } else { exponent }).parse().ok()?;
    Some(if is_long(number) { format!("{number:.0}") } else { double_text(number) })
}

/// The digits of an exponent with its sign; empty if there are none.
fn exponent(text: &str) -> &str {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 || count > 3 { "" } else { &text[..text.len() - digits.len() + count] }
}

/// Whether Java returns the number as a whole one.
fn is_long(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 9.0e15 && !(number == 0.0 && number.is_sign_negative())
}

/// A number as Java's `Double` prints it.
fn double_text(number: f64) -> String {
    let size = number.abs();
    if size.is_infinite() {
        return if number < 0.0 { "-Infinity" } else { "Infinity" }.to_owned();
    }
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{number:?}");
    }
    let scientific = format!("{number:E}");
    match scientific.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_printed_as_in_java() {
        for (text, number) in [
            ("1.0", "1"),
            ("-0.0", "-0.0"),
            ("-0", "-0.0"),
            ("007", "7"),
            (".5", "0.5"),
            ("1e2", "1"),
            ("1E2", "100"),
            ("1E-2", "0.01"),
            ("1,000", "1000"),
            ("0.0001", "1.0E-4"),
            ("12345678.5", "1.23456785E7"),
            ("12345678901234567890.10", "1.2345678901234567E19"),
            ("5 apples", "5"),
            ("-1E911", "-Infinity"),
        ] {
            assert_eq!(parse_number(text).as_deref(), Some(number), "{text}");
        }
        for text in ["", "-", ".", "nextval(1)", "(5)", "+5"] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }
}
