//! Which values a key accepts, and how their text is parsed.
//!
//! Policy: a value is parsed from the text that was written, in the same way for a file, a variable and a flag; so `off` stays
//! `off` and 05432 does not silently become another number. An error says what is expected.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::civil;

use super::base_path::BasePath;
use super::network;
use super::time_of_day::TimeOfDay;
use super::time_zone::TimeZone;
use super::units;
use super::url;
use super::web_origin;
use super::weekdays::Weekdays;

/// The longest status of a record, in characters.
const MAX_STATUS_CHARS: usize = 64;

/// Which values a key accepts.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text without control characters.
    Text,
    /// The path of a file or directory.
    Path,
    /// The path of a file or directory from the root.
    AbsolutePath,
    /// A time of day.
    TimeOfDay,
    /// An IP address and a port.
    Address,
    /// A TCP port.
    Port,
    /// A whole number within bounds.
    Integer(u64, u64),
    /// A time within bounds, in milliseconds.
    Duration(u64, u64),
    /// A size within bounds, in bytes.
    Size(u64, u64),
    /// One of these words.
    Enum(&'static [&'static str]),
    /// true or false.
    Boolean,
    /// The path below which everything is served.
    BasePath,
    /// A list of networks or addresses.
    Networks,
    /// A list of origins of web pages.
    Origins,
    /// A list of days of the week.
    Weekdays,
    /// The name of a time zone.
    TimeZone,
    /// A list of statuses of records.
    Statuses,
    /// A day of the calendar.
    Day,
    /// `postgres://...`
    PostgresUrl,
    /// `redis://...`
    RedisUrl,
}

/// A parsed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, a path, a word, a checked URL or a checked list, as it was written.
    Text(String),
    /// A port, a count or a size in bytes.
    Number(u64),
    /// A time.
    Duration(Duration),
    /// An address to listen on.
    Address(SocketAddr),
}

/// Why a text was rejected: what was expected and, if that does not explain it, what is wrong with this text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Completes the sentence "expected …".
    pub expected: String,
    /// What is wrong with this value. Never repeats a secret.
    pub hint: Option<String>,
}

impl Kind {
    /// Parses a text. Texts that may be empty are "not set" when they are, and are not parsed.
    pub fn parse(&self, text: &str) -> Result<Value, ParseError> {
        let value = match self {
            Self::Text => plain_text(text).map(Value::Text),
            Self::Path => plain_text(text).map(Value::Text),
            Self::AbsolutePath => plain_text(text).filter(|path| path.starts_with('/')).map(Value::Text),
            Self::TimeOfDay => TimeOfDay::parse(text).map(|_| Value::Text(text.to_owned())),
            Self::Address => text.trim().parse().ok().map(Value::Address),
            Self::Port => number(text).filter(|n| (1..=65535).contains(n)).map(Value::Number),
            Self::Integer(min, max) => number(text).filter(|n| (min..=max).contains(&n)).map(Value::Number),
            Self::Duration(min, max) => units::duration(text)
                .filter(|d| (Duration::from_millis(*min)..=Duration::from_millis(*max)).contains(d))
                .map(Value::Duration),
            Self::Size(min, max) => units::size(text).filter(|n| (min..=max).contains(&n)).map(Value::Number),
            Self::Enum(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Self::Boolean => ["true", "false"].contains(&text).then(|| Value::Text(text.to_owned())),
            Self::BasePath => return self.parse_checked(text, BasePath::parse(text).err()),
            Self::Networks => return self.parse_checked(text, network::parse_list(text).err()),
            Self::Origins => return self.parse_checked(text, web_origin::parse_list(text).err()),
            Self::Weekdays => return self.parse_checked(text, Weekdays::parse(text).err()),
            Self::TimeZone => return self.parse_checked(text, TimeZone::parse(text).err()),
            Self::Statuses => return self.parse_checked(text, wrong_status(text)),
            Self::Day => {
                text.parse::<civil::Date>().ok().filter(|_| text.len() == 10).map(|_| Value::Text(text.to_owned()))
            }
            Self::PostgresUrl => return self.parse_checked(text, url::postgres(text).err()),
            Self::RedisUrl => return self.parse_checked(text, url::redis(text).err()),
        };
        value.ok_or_else(|| ParseError { expected: self.expected(), hint: self.hint(text) })
    }

    fn parse_checked(&self, text: &str, error: Option<impl Display>) -> Result<Value, ParseError> {
        match error {
            None => Ok(Value::Text(text.to_owned())),
            Some(error) => Err(ParseError { expected: self.expected(), hint: Some(error.to_string()) }),
        }
    }

    /// Whether its values are lists, which a file may write as a list of YAML, and everything else with commas.
    pub fn is_list(&self) -> bool {
        matches!(self, Self::Networks | Self::Origins | Self::Weekdays | Self::Statuses)
    }

    /// Completes the sentence "expected …".
    pub fn expected(&self) -> String {
        match self {
            Self::Text => "text without control characters".to_owned(),
            Self::Path => "a path without control characters".to_owned(),
            Self::AbsolutePath => "an absolute path, like /srv/backups".to_owned(),
            Self::TimeOfDay => "a time of day in UTC from 00:00 to 23:59, like \"03:15\"".to_owned(),
            Self::Address => "an IP address and a port, like 0.0.0.0:8080, 127.0.0.1:0 or \"[::]:8080\"".to_owned(),
            Self::Port => "a port number from 1 to 65535".to_owned(),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Duration(min, max) => {
                let show = |millis: &u64| units::show_duration(Duration::from_millis(*millis));
                format!("a time from {} to {}, like 50ms, 20s, 5m or a number of seconds", show(min), show(max))
            }
            Self::Size(min, max) => format!(
                "a size from {} to {}, like 64KiB, 1MiB, 10MB or a number of bytes",
                units::show_size(*min),
                units::show_size(*max)
            ),
            Self::Enum(words) => format!("one of {}", words.join(", ")),
            Self::Boolean => "true or false".to_owned(),
            Self::BasePath => "a path like /attendance".to_owned(),
            Self::Networks => "networks or addresses, like [10.0.0.0/8, \"fd00::/8\", 192.168.0.7]".to_owned(),
            Self::Origins => "origins of pages, like [http://ui:3000, https://hr.example], or \"*\"".to_owned(),
            Self::Weekdays => "days of the week, like [saturday, sunday], or none".to_owned(),
            Self::TimeZone => "the name of a time zone, like UTC or Asia/Kolkata".to_owned(),
            Self::Statuses => "statuses, like [Present, Absent, Half Day]".to_owned(),
            Self::Day => "a day like 2026-01-31".to_owned(),
            Self::PostgresUrl => "postgres://user:password@host:5432/database?sslmode=prefer".to_owned(),
            Self::RedisUrl => "redis://username:password@host:6379/0".to_owned(),
        }
    }

    /// Advice on frequent mistakes that the expectation alone does not explain.
    fn hint(&self, text: &str) -> Option<String> {
        match self {
            Self::Port | Self::Integer(..) => number_hint(text),
            Self::Address if text.starts_with("localhost:") => Some("write 127.0.0.1 for localhost".to_owned()),
            Self::Address if text.starts_with(':') => Some(format!("write 0.0.0.0{text} for every interface")),
            Self::Enum(words) => word_hint(words, text),
            Self::Boolean => boolean_hint(text),
            _ => None,
        }
    }
}

/// Why a list of statuses, separated by commas, has one that no record may have.
fn wrong_status(list: &str) -> Option<&'static str> {
    let statuses = || list.split(',').map(str::trim);
    if statuses().any(str::is_empty) {
        return Some("a status is empty");
    }
    if statuses().any(|status| status.chars().count() > MAX_STATUS_CHARS) {
        return Some("a status has at most 64 characters");
    }
    list.chars().any(char::is_control).then_some("a status has no control characters")
}

/// Text without control characters, which neither servers nor file systems need to understand.
fn plain_text(text: &str) -> Option<String> {
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// Decimal digits without a sign and without leading zeros: the only spelling that every YAML reader reads as this number.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    plain.then(|| text.parse().ok()).flatten()
}

fn number_hint(text: &str) -> Option<String> {
    let digits = text.trim();
    let without_zeros = digits.trim_start_matches('0');
    if digits.bytes().all(|b| b.is_ascii_digit()) && without_zeros.len() < digits.len() && !without_zeros.is_empty() {
        return Some(format!("with a leading zero some YAML readers read it as octal; write {without_zeros}"));
    }
    is_yaml_boolean(text).then(|| "this key is not a boolean".to_owned())
}

fn word_hint(words: &[&str], text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if words.contains(&lower.as_str()) {
        return Some(format!("write {lower}"));
    }
    if words.contains(&"off") && ["no", "false", "n", "none", "disabled"].contains(&lower.as_str()) {
        return Some("write off".to_owned());
    }
    is_yaml_boolean(text).then(|| "this key is not a boolean".to_owned())
}

fn boolean_hint(text: &str) -> Option<String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some("write true".to_owned()),
        "false" | "no" | "off" | "n" => Some("write false".to_owned()),
        _ => None,
    }
}

/// Whether YAML 1.1 readers, such as the Python service's, read this unquoted word as true or false.
fn is_yaml_boolean(text: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off", "true", "false"].contains(&text.to_ascii_lowercase().as_str())
}

/// Whether YAML readers read this unquoted text as something else: a boolean, or an octal, hexadecimal or fractional number.
/// A plain decimal number is not ambiguous.
pub fn is_ambiguous(text: &str) -> bool {
    is_yaml_boolean(text) || (looks_numeric(text) && number(text).is_none())
}

fn looks_numeric(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let lower = body.to_ascii_lowercase();
    let prefixed = |prefix: &str, radix: u32| {
        lower.strip_prefix(prefix).is_some_and(|d| !d.is_empty() && d.chars().all(|c| c == '_' || c.is_digit(radix)))
    };
    let digits =
        lower.bytes().all(|b| b.is_ascii_digit() || b == b'_') && lower.starts_with(|c: char| c.is_ascii_digit());
    let fraction = lower.bytes().any(|b| b.is_ascii_digit())
        && lower.bytes().all(|b| b.is_ascii_digit() || b".e+-_".contains(&b))
        && lower.parse::<f64>().is_ok();
    let special = [".inf", ".nan"].contains(&lower.as_str());
    digits || fraction || special || prefixed("0x", 16) || prefixed("0o", 8) || prefixed("0b", 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_exactly_one_spelling() {
        assert_eq!(Kind::Port.parse("5432"), Ok(Value::Number(5432)));
        for text in ["05432", "5432.0", "0x1538", "5_432", "-1", "+5", "0", "65536", "", "yes"] {
            assert!(Kind::Port.parse(text).is_err(), "{text}");
        }
        let error = Kind::Port.parse("05432").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("with a leading zero some YAML readers read it as octal; write 5432"));
    }

    #[test]
    fn days_and_statuses_are_checked() {
        assert!(Kind::Day.parse("2026-02-28").is_ok());
        for text in ["2026-02-30", "20260228", "2026-2-28", "2026-02-28T00:00", "today", ""] {
            assert!(Kind::Day.parse(text).is_err(), "{text}");
        }
        assert!(Kind::Statuses.parse("Present, Half Day").is_ok());
        for text in ["Present,,Absent", "a\tb", &"x".repeat(65)] {
            assert!(Kind::Statuses.parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_outside_the_bounds_are_rejected() {
        assert!(Kind::Size(1024, 4096).parse("1KiB").is_ok());
        assert!(Kind::Size(1024, 4096).parse("1023").is_err());
        assert!(Kind::Duration(100, 1000).parse("1s").is_ok());
        assert!(Kind::Duration(100, 1000).parse("1001ms").is_err());
    }

    #[test]
    fn texts_that_yaml_readers_read_as_something_else_are_ambiguous() {
        for text in ["yes", "Off", "true", "0123", "0x10", "1e3", "1.5", "1_000", "-5", ".inf", "0o17"] {
            assert!(is_ambiguous(text), "{text}");
        }
        for text in ["password", "12345", "0", "10.0.0.3", "0xg", "e", "a1", "1password", "-", "+"] {
            assert!(!is_ambiguous(text), "{text}");
        }
    }
}
