//! The value of a YAML 1.1 scalar without quotes, as text.
//!
//! Liquibase parses YAML and JSON into Java values and prints them again, so `0010` in a changelog is `8` in checksums and SQL, and `1.50` is
//! `1.5`. The rules are those of YAML 1.1, with Java's format of numbers and dates. Times are UTC.

/// The text of a plain scalar; `None` for a null.
pub(super) fn plain(text: &str, key: &str) -> Option<String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return None,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Some("true".to_owned()),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Some("false".to_owned()),
        _ => {}
    }
    let read = integer(text).or_else(|| float(text)).or_else(|| timestamp(text, key));
    Some(read.unwrap_or_else(|| text.to_owned()))
}

/// Whether a plain scalar is a boolean, a number or a time in Java.
pub(super) fn is_typed(text: &str) -> bool {
    let is_number = || integer(text).or_else(|| float(text)).or_else(|| timestamp(text, "")).is_some();
    plain(text, "").is_some_and(|read| matches!(read.as_str(), "true" | "false")) || is_number()
}

/// Whether the number is negative, and the text without the sign.
fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn is_all(text: &str, belongs: fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(belongs)
}

/// Binary, octal (with a leading zero), decimal, hexadecimal and sexagesimal integers, with `_` between digits.
fn integer(text: &str) -> Option<String> {
    let (negative, digits) = split_sign(text);
    let plain = digits.replace('_', "");
    let value = if let Some(binary) = plain.strip_prefix("0b").filter(|rest| is_all(rest, |c| matches!(c, '0' | '1'))) {
        i128::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = plain.strip_prefix("0x").filter(|rest| is_all(rest, |c| c.is_ascii_hexdigit())) {
        i128::from_str_radix(hex, 16).ok()?
    } else if digits.starts_with('0') && plain.len() > 1 && is_all(&plain, |c| matches!(c, '0'..='7')) {
        i128::from_str_radix(&plain, 8).ok()?
    } else if digits.starts_with(|c: char| c.is_ascii_digit()) && (plain == "0" || !plain.starts_with('0')) {
        sexagesimal(&plain)?
    } else {
        return None;
    };
    Some(if negative { -value } else { value }.to_string())
}

/// `1:30` is 90; without a colon a plain decimal number.
fn sexagesimal(text: &str) -> Option<i128> {
    let mut value: i128 = 0;
    for (index, part) in text.split(':').enumerate() {
        let digits = is_all(part, |c| c.is_ascii_digit());
        let part: i128 = if digits { part.parse().ok()? } else { return None };
        if index > 0 && part > 59 {
            return None;
        }
        value = value.checked_mul(60)?.checked_add(part)?;
    }
    Some(value)
}

/// Numbers with a point or an exponent, infinities and `.nan`.
fn float(text: &str) -> Option<String> {
    let (negative, rest) = split_sign(text);
    let sign = if negative { "-" } else { "" };
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(format!("{sign}Infinity")),
        ".nan" | ".NaN" | ".NAN" if text.starts_with('.') => return Some("NaN".to_owned()),
        _ => {}
    }
    let plain = rest.replace('_', "");
    let (mantissa, exponent) = match plain.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (plain.as_str(), None),
    };
    if exponent.is_some_and(|exponent| !is_all(split_sign(exponent).1, |c| c.is_ascii_digit())) {
        return None;
    }
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if fraction.is_none() && exponent.is_none() || !fraction.is_none_or(digits) {
        return None;
    }
    let value: f64 = if whole.contains(':') {
        let fraction: f64 = format!("0.{}0", fraction?).parse().ok()?;
        format!("{}", sexagesimal(whole)?).parse::<f64>().ok()? + fraction
    } else if digits(whole) && (!whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty())) {
        format!("{whole}.{}0e{}", fraction.unwrap_or_default(), exponent.unwrap_or("0")).parse().ok()?
    } else {
        return None;
    };
    Some(java_double(if negative { -value } else { value }))
}

/// A number as Java prints it: `1.0E10` from ten million and below one thousandth, else `1.0`.
fn java_double(value: f64) -> String {
    if value.is_infinite() {
        return if value < 0.0 { "-Infinity" } else { "Infinity" }.to_owned();
    }
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) {
        let text = format!("{value}");
        return if text.contains('.') { text } else { format!("{text}.0") };
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        Some((mantissa, exponent)) => format!("{mantissa}E{exponent}"),
        None => text,
    }
}

/// Year, month and day.
type Date = (i64, i64, i64);

/// Dates and times. A date field gets the ISO format, other fields the format in which Java prints a date.
fn timestamp(text: &str, key: &str) -> Option<String> {
    let (date, rest) = leading_date(text)?;
    let is_date_field = key.to_ascii_lowercase().ends_with("date");
    if rest.is_empty() {
        // Without a time, month and day must have two digits.
        return (text.len() == 10).then(|| utc_timestamp(date, 0, is_date_field));
    }
    let rest = rest.strip_prefix(['T', 't']).unwrap_or_else(|| rest.trim_start_matches([' ', '\t']));
    let (seconds, zone) = clock(rest)?;
    match zone {
        // Java does not print the fraction of a second.
        None => {
            let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let separator = if is_date_field { 'T' } else { ' ' };
            Some(format!("{:04}-{:02}-{:02}{separator}{h:02}:{m:02}:{s:02}", date.0, date.1, date.2))
        }
        Some(offset) => Some(utc_timestamp(date, seconds - offset, is_date_field)),
    }
}

/// Splits off the date at the start of a text.
fn leading_date(text: &str) -> Option<(Date, &str)> {
    let (year, rest) = leading_number(text, 4, 4)?;
    let (month, rest) = leading_number(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = leading_number(rest.strip_prefix('-')?, 1, 2)?;
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(((year, month, day), rest))
}

/// Seconds since midnight, and the offset from UTC in seconds if there is one. As in Liquibase, `Z` is no offset.
fn clock(text: &str) -> Option<(i64, Option<i64>)> {
    let (hour, rest) = leading_number(text, 1, 2)?;
    let (minute, rest) = leading_number(rest.strip_prefix(':')?, 2, 2)?;
    let (second, rest) = leading_number(rest.strip_prefix(':')?, 2, 2)?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let seconds = hour * 3600 + minute * 60 + second;
    let zone = rest.trim_start_matches([' ', '\t']);
    if zone == "Z" || rest.is_empty() {
        return Some((seconds, None));
    }
    let sign = match zone.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, rest) = leading_number(&zone[1..], 1, 2)?;
    let minutes = match rest.strip_prefix(':') {
        Some(rest) => leading_number(rest, 2, 2).filter(|(_, rest)| rest.is_empty())?.0,
        None if rest.is_empty() => 0,
        None => return None,
    };
    Some((seconds, Some(sign * (hours * 3600 + minutes * 60))))
}

/// Splits off a number of `min_digits` to `max_digits` digits at the start of a text.
fn leading_number(text: &str, min_digits: usize, max_digits: usize) -> Option<(i64, &str)> {
    let length = text.bytes().take(max_digits).take_while(u8::is_ascii_digit).count();
    if length < min_digits {
        return None;
    }
    Some((text[..length].parse().ok()?, &text[length..]))
}

/// A time in UTC: `2020-01-31T00:00:00`, or Java's `Fri Jan 31 00:00:00 UTC 2020`.
fn utc_timestamp(date: Date, seconds: i64, iso: bool) -> String {
    let days = days_since_epoch(date) + seconds.div_euclid(86_400);
    let seconds = seconds.rem_euclid(86_400);
    let (year, month, day) = date_of(days);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if iso {
        return format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}");
    }
    let name = |names: &str, index: i64| -> String {
        names.chars().skip(usize::try_from(index).unwrap_or_default() * 3).take(3).collect()
    };
    let weekday = name("ThuFriSatSunMonTueWed", days.rem_euclid(7));
    let month = name("JanFebMarAprMayJunJulAugSepOctNovDec", month - 1);
    format!("{weekday} {month} {day:02} {h:02}:{m:02}:{s:02} UTC {year}")
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. A day after the end of the month is one of the next month, as in Java.
fn days_since_epoch((year, month, day): Date) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn date_of(days: i64) -> Date {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_printed_like_in_java() {
        for (written, text) in [
            ("1.50", "1.5"),
            ("1.0", "1.0"),
            ("2.", "2.0"),
            (".5", "0.5"),
            ("-1_0.25", "-10.25"),
            ("0010", "8"),
            ("007", "7"),
            ("08", "08"),
            ("0x10", "16"),
            ("0b101", "5"),
            ("-0b11", "-3"),
            ("1_000", "1000"),
            ("1:30", "90"),
            ("1:30.5", "90.5"),
            ("1:99", "1:99"),
            ("1e3", "1000.0"),
            ("1e10", "1.0E10"),
            ("1.25e-5", "1.25E-5"),
            ("12345678.9", "1.23456789E7"),
            (".inf", "Infinity"),
            ("yes", "true"),
            ("Off", "false"),
            ("y", "y"),
            ("9223372036854775808", "9223372036854775808"),
            ("1.2.3", "1.2.3"),
            ("1a", "1a"),
            ("-", "-"),
            (".", "."),
            ("+", "+"),
            ("e5", "e5"),
            ("8:abc", "8:abc"),
            ("2020-01-31", "Fri Jan 31 00:00:00 UTC 2020"),
            ("2020-1-31", "2020-1-31"),
            ("2020-01-31T10:11:12", "2020-01-31 10:11:12"),
            ("2020-01-31 10:11:12.5 Z", "2020-01-31 10:11:12"),
            ("2020-01-01T00:30:00+01:00", "Tue Dec 31 23:30:00 UTC 2019"),
            ("2020-01-31x", "2020-01-31x"),
        ] {
            assert_eq!(plain(written, "value").as_deref(), Some(text), "{written}");
        }
        for null in ["", "~", "null", "NULL"] {
            assert_eq!(plain(null, "value"), None);
        }
    }

    #[test]
    fn date_fields_get_the_iso_form() {
        assert_eq!(plain("2020-01-31", "defaultValueDate").as_deref(), Some("2020-01-31T00:00:00"));
        assert_eq!(plain("2020-02-29 1:02:03", "valueDate").as_deref(), Some("2020-02-29T01:02:03"));
        assert_eq!(plain("2020-01-31T23:30:00-1", "valueDate").as_deref(), Some("2020-02-01T00:30:00"));
    }
}
