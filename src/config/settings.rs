//! The values that were given, layer over layer, each with its origin.
//!
//! Policy: every value of every layer is judged, also one that a higher layer hides: it is wrong where it stands.
//! The empty text takes a value back: `ATTENDANCE_API__POSTGRES__HOST=` unsets a host that the file gives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::keys::{self, KEYS, Key, Secrecy};
use super::kind::{self, Kind, Value};
use super::origin::Origin;
use super::problem::{Problem, Problems};

/// One value that counts.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its text, as it was written.
    text: String,
    /// The judged value; `None` when it was taken back or refused.
    value: Option<Value>,
    /// Where it came from.
    pub origin: Origin,
}

/// The values that count, and the problems met on the way.
#[derive(Debug, Default)]
pub struct Settings {
    given: BTreeMap<&'static str, Setting>,
    /// What is wrong so far.
    pub problems: Problems,
}

impl Settings {
    /// Lays a value over the ones before.
    pub fn set(&mut self, key: &'static Key, text: &str, origin: Origin) {
        let value = if text.is_empty() && may_be_empty(key) { None } else { self.parse(key, text, &origin) };
        self.given.insert(key.path, Setting { text: text.to_owned(), value, origin });
    }

    /// Lays an unquoted value of a YAML file over the ones before.
    pub fn set_unquoted(&mut self, key: &'static Key, text: &str, origin: Origin) {
        if matches!(key.kind, Kind::Text) && kind::is_ambiguous(text) {
            self.problems.push(Problem::Ambiguous { origin, key: key.path, shown: key.mask(text) });
        } else {
            self.set(key, text, origin);
        }
    }

    /// Gives a value to a key that has none, where the rest of the configuration calls for one.
    pub fn set_default(&mut self, path: &str, text: &str) {
        if let Some(key) = Key::find(path).filter(|_| self.value(path).is_none()) {
            self.set(key, text, Origin::Default);
        }
    }

    /// A key that does not exist.
    pub fn unknown(&mut self, path: &str, origin: Origin) {
        let nearest = if self.problems.is_full() { None } else { keys::nearest_key(path) };
        let key = path.chars().take(80).collect();
        self.problems.push(Problem::UnknownKey { origin, key, nearest: nearest.map(ToOwned::to_owned) });
    }

    /// Writes down what a rule chose, for `config show`.
    pub fn set_resolved(&mut self, path: &'static str, text: &str, origin: Origin) {
        let value = Some(Value::Text(text.to_owned()));
        self.given.insert(path, Setting { text: text.to_owned(), value, origin });
    }

    fn parse(&mut self, key: &'static Key, text: &str, origin: &Origin) -> Option<Value> {
        match key.kind.parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(Problem::WrongValue {
                    origin: origin.clone(),
                    key: key.path,
                    shown: shown(key, text),
                    expected: error.expected,
                    hint: error.hint,
                });
                None
            }
        }
    }

    /// Two keys of which only one may be set: a problem when both are.
    pub fn check_exclusive(&mut self, first: &'static str, second: &'static str, remedy: &str) {
        let (Some(first_origin), Some(second_origin)) = (self.origin(first), self.origin(second)) else { return };
        self.problems.push(Problem::Contradiction {
            first: first.to_owned(),
            first_origin: first_origin.clone(),
            second: second.to_owned(),
            second_origin: second_origin.clone(),
            remedy: remedy.to_owned(),
        });
    }

    /// Every key with its setting, in the table's order.
    pub fn all(&self) -> impl Iterator<Item = (&'static Key, Option<&Setting>)> {
        KEYS.iter().map(|key| (key, self.given.get(key.path)))
    }

    /// Where a value that is set came from.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.given.get(path).filter(|setting| !setting.text.is_empty()).map(|setting| &setting.origin)
    }

    /// A text, a path or a word, where it is set.
    pub fn text(&self, path: &str) -> Option<&str> {
        match self.value(path)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number, where it is set.
    pub fn number<N: TryFrom<u64>>(&self, path: &str) -> Option<N> {
        match self.value(path)? {
            Value::Number(number) => N::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A time, where it is set.
    pub fn duration(&self, path: &str) -> Option<Duration> {
        match self.value(path)? {
            Value::Duration(duration) => Some(*duration),
            _ => None,
        }
    }

    /// An address, where it is set.
    pub fn address(&self, path: &str) -> Option<SocketAddr> {
        match self.value(path)? {
            Value::Address(address) => Some(*address),
            _ => None,
        }
    }

    fn value(&self, path: &str) -> Option<&Value> {
        self.given.get(path)?.value.as_ref()
    }
}

impl Setting {
    /// The judged value; none when it was taken back.
    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }

    /// The value as it may be shown; `None` when it is not set.
    pub fn shown(&self, key: &Key) -> Option<String> {
        (!self.text.is_empty()).then(|| key.mask(&self.text))
    }
}

/// Keys without a default can be taken back; the others always have a value.
pub(super) fn may_be_empty(key: &Key) -> bool {
    matches!(key.kind, Kind::Text | Kind::Path | Kind::PostgresUrl | Kind::RedisUrl)
        || [
            "server.workers",
            "postgres.port",
            "postgres.sslmode",
            "postgres.shared_buffers",
            "redis.mode",
            "redis.port",
            "redis.database",
        ]
        .contains(&key.path)
}

/// A refused value for a message: in quotes, cut, and masked where it may hold a secret.
fn shown(key: &Key, text: &str) -> String {
    if key.secrecy != Secrecy::Public {
        return key.mask(text);
    }
    let cut: String = text.chars().take(80).collect();
    format!("{cut:?}{}", if cut.len() < text.len() { "..." } else { "" })
}
