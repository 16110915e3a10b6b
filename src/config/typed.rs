//! Parsed values as the types of the fields that hold them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil;

use super::base_path::BasePath;
use super::choice::Choice;
use super::kind::Value;
use super::network::{self, Network};
use super::secret::Secret;
use super::time_of_day::TimeOfDay;
use super::time_zone::TimeZone;
use super::url::{self, PostgresUrl, RedisUrl};
use super::web_origin::{self, AllowedOrigin};
use super::weekdays::Weekdays;

/// A type that the value of a key can be read as.
pub trait FromValue: Sized {
    /// The value; `None` if a value of this kind is never of this type.
    fn from_value(value: &Value) -> Option<Self>;

    /// What a key without a value is read as; `None` for a type that needs one.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        T::from_value(value).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Choice> FromValue for T {
    fn from_value(value: &Value) -> Option<Self> {
        text(value).and_then(T::from_word)
    }
}

/// A list of words, separated by commas.
impl FromValue for Vec<String> {
    fn from_value(value: &Value) -> Option<Self> {
        let words = text(value)?.split(',').map(str::trim).filter(|word| !word.is_empty());
        Some(words.map(str::to_owned).collect())
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl FromValue for BasePath {
    fn from_value(value: &Value) -> Option<Self> {
        Self::parse(text(value)?).ok()
    }
}

impl FromValue for Vec<Network> {
    fn from_value(value: &Value) -> Option<Self> {
        network::parse_list(text(value)?).ok()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl FromValue for Vec<AllowedOrigin> {
    fn from_value(value: &Value) -> Option<Self> {
        web_origin::parse_list(text(value)?).ok()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl FromValue for Weekdays {
    fn from_value(value: &Value) -> Option<Self> {
        Self::parse(text(value)?).ok()
    }
}

impl FromValue for TimeZone {
    fn from_value(value: &Value) -> Option<Self> {
        Self::parse(text(value)?).ok()
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        text(value).map(str::to_owned)
    }
}

impl FromValue for Secret {
    fn from_value(value: &Value) -> Option<Self> {
        text(value).map(Self::new)
    }
}

impl FromValue for civil::Date {
    fn from_value(value: &Value) -> Option<Self> {
        text(value)?.parse().ok()
    }
}

impl FromValue for PathBuf {
    fn from_value(value: &Value) -> Option<Self> {
        text(value).map(Self::from)
    }
}

impl FromValue for TimeOfDay {
    fn from_value(value: &Value) -> Option<Self> {
        Self::parse(text(value)?)
    }
}

impl FromValue for PostgresUrl {
    fn from_value(value: &Value) -> Option<Self> {
        url::postgres(text(value)?).ok()
    }
}

impl FromValue for RedisUrl {
    fn from_value(value: &Value) -> Option<Self> {
        url::redis(text(value)?).ok()
    }
}

impl FromValue for SocketAddr {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Address(address) => Some(*address),
            _ => None,
        }
    }
}

impl FromValue for Duration {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Duration(duration) => Some(*duration),
            _ => None,
        }
    }
}

impl FromValue for u16 {
    fn from_value(value: &Value) -> Option<Self> {
        number(value)
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value) -> Option<Self> {
        number(value)
    }
}

impl FromValue for usize {
    fn from_value(value: &Value) -> Option<Self> {
        number(value)
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        number(value)
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn number<N: TryFrom<u64>>(value: &Value) -> Option<N> {
    match value {
        Value::Number(number) => N::try_from(*number).ok(),
        _ => None,
    }
}
