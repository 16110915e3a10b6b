//! Numbers and dates in the text of a changelog.
//!
//! A field for a number or a date may also hold an SQL expression. The tests here decide which of them a text is, as Liquibase decides
//! it. Checksums and SQL depend on the result.

/// Whether the text begins with a number; Liquibase ignores what follows it.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_infinite = digits.starts_with('\u{221e}');
    let digits = digits.strip_prefix('.').unwrap_or(digits);
    is_infinite || digits.starts_with(|c: char| c.is_ascii_digit()) || text.starts_with("NaN")
}

/// The number with which the text begins; empty if there is none.
pub(crate) fn number_at_start(text: &str) -> &str {
    let digits = |from: usize| text.get(from..).unwrap_or_default().bytes().take_while(u8::is_ascii_digit).count();
    let starts_with = |from: usize, c: char| text.get(from..).is_some_and(|rest| rest.starts_with(c));
    let mut end = usize::from(starts_with(0, '-'));
    end += digits(end);
    if starts_with(end, '.') {
        end += 1 + digits(end + 1);
    }
    let exponent = if starts_with(end, 'E') { end + 1 + usize::from(starts_with(end + 1, '-')) } else { end };
    if digits(exponent) > 0 {
        end = exponent + digits(exponent);
    }
    text.get(..end).unwrap_or_default()
}

/// A whole number of any size without leading zeros and without `+`, as Java writes it; `None` if the text is none.
pub(crate) fn whole_number(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match digits.trim_start_matches('0') {
        "" => Some("0".to_owned()),
        digits => Some(format!("{sign}{digits}")),
    }
}

/// Whether the text is `yyyy-MM-dd`, `HH:mm:ss`, or both with `T` or a blank between them and an optional fraction.
pub(crate) fn is_date(text: &str) -> bool {
    let date = |text: &str| has_shape(text, "dddd-dd-dd");
    let time = |text: &str| has_shape(text, "dd:dd:dd");
    if date(text) || time(text) {
        return true;
    }
    let (Some(day), Some(rest)) = (text.get(..10), text.get(10..)) else {
        return false;
    };
    let Some(clock) = rest.strip_prefix(['T', ' ']) else {
        return false;
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    date(day) && time(clock) && !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, kind)| match kind {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

/// The form of a date that checksums use: `T` between date and time, no trailing zeros in the fraction. Other text is unchanged.
pub(crate) fn normalise_date(text: &str) -> String {
    if text.len() <= 10 || !is_date(text) {
        return text.to_owned();
    }
    let text = text.replacen(' ', "T", 1);
    match text.split_once('.') {
        Some((seconds, fraction)) => match fraction.trim_end_matches('0') {
            "" => seconds.to_owned(),
            fraction => format!("{seconds}.{fraction}"),
        },
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_told_from_expressions() {
        for date in ["2020-01-31", "10:11:12", "2020-01-31T10:11:12", "2020-01-31 10:11:12.500"] {
            assert!(is_date(date), "{date}");
        }
        for expression in ["now()", "2020-1-31", "2020-01-31T10:11", "2020-01-31 10:11:12."] {
            assert!(!is_date(expression), "{expression}");
        }
    }

    #[test]
    fn a_whole_number_is_written_as_java_writes_it() {
        for (text, number) in [("5", "5"), ("+2", "2"), ("007", "7"), ("-010", "-10"), ("-0", "0"), ("00", "0")] {
            assert_eq!(whole_number(text).as_deref(), Some(number), "{text}");
        }
        for text in ["", "-", "+-1", " 1", "1.0", "1e3", "x"] {
            assert_eq!(whole_number(text), None, "{text}");
        }
        let large = "9".repeat(40);
        assert_eq!(whole_number(&large), Some(large.clone()));
    }

    #[test]
    fn a_date_is_normalised_for_checksums() {
        assert_eq!(normalise_date("2020-01-31 10:11:12.500"), "2020-01-31T10:11:12.5");
        assert_eq!(normalise_date("2020-01-31 10:11:12.000"), "2020-01-31T10:11:12");
        assert_eq!(normalise_date("date '2020-01-31'"), "date '2020-01-31'");
    }
}
