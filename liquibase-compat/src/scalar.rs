//! Numbers and dates in the text of a changelog.
//!
//! A field for a number or a date may also hold an SQL expression. The tests here decide which of them a text is, as Liquibase decides
//! it. Checksums and SQL depend on the result.

/// Whether the text begins with a number; Liquibase ignores what follows it.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let digits = digits.strip_prefix('.').unwrap_or(digits);
    digits.starts_with(|c: char| c.is_ascii_digit())
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
    fn a_date_is_normalised_for_checksums() {
        assert_eq!(normalise_date("2020-01-31 10:11:12.500"), "2020-01-31T10:11:12.5");
        assert_eq!(normalise_date("2020-01-31 10:11:12.000"), "2020-01-31T10:11:12");
        assert_eq!(normalise_date("date '2020-01-31'"), "date '2020-01-31'");
    }
}
