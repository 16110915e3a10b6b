//! The values of all layers, one over the other, each with its origin.
//!
//! Policy: every value of every layer is parsed, also one that a higher layer hides: it is a problem where it stands. An empty
//! text removes the value of a lower layer: `ATTENDANCE_API__POSTGRES__HOST=` unsets a host that the file sets.

use std::collections::BTreeMap;

use super::key::{Key, Secrecy};
use super::kind::{self, Kind, Value};
use super::origin::Origin;
use super::problem::{Problem, Problems};
use super::table::Table;
use super::typed::FromValue;

/// The longest part of an unknown key or a wrong value that a message repeats, in characters.
const MAX_SHOWN: usize = 80;

/// The value of one key, from the highest layer that sets it.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its text, as it was written.
    text: String,
    /// The parsed value; `None` if it was removed or is wrong.
    value: Option<Value>,
    /// Where it came from.
    pub origin: Origin,
}

/// The value of every key, and the problems found on the way.
#[derive(Debug)]
pub struct Settings {
    /// The keys that exist.
    pub table: &'static Table,
    values: BTreeMap<&'static str, Setting>,
    /// What is wrong so far.
    pub problems: Problems,
}

impl Settings {
    /// No values yet.
    pub fn new(table: &'static Table) -> Self {
        Self { table, values: BTreeMap::new(), problems: Problems::default() }
    }

    /// Sets a value over the one of a lower layer.
    pub fn set(&mut self, key: &'static Key, text: &str, origin: Origin) {
        let value = if text.is_empty() && key.may_be_empty() { None } else { self.parse(key, text, &origin) };
        self.values.insert(key.path, Setting { text: text.to_owned(), value, origin });
    }

    /// Sets a value that stands without quotes in a YAML file.
    pub fn set_unquoted(&mut self, key: &'static Key, text: &str, origin: Origin) {
        if matches!(key.kind, Kind::Text) && kind::is_ambiguous(text) {
            self.problems.push(Problem::Ambiguous { origin, key: key.path, shown: key.mask(text) });
        } else {
            self.set(key, text, origin);
        }
    }

    /// Sets a key that has no value, where the other keys call for one.
    pub fn set_default(&mut self, path: &str, text: &str) {
        if let Some(key) = self.table.find(path).filter(|_| self.value(path).is_none()) {
            self.set(key, text, Origin::Default);
        }
    }

    /// Sets a value that a rule has worked out from other values.
    pub fn set_resolved(&mut self, path: &'static str, text: &str, origin: Origin) {
        let value = Some(Value::Text(text.to_owned()));
        self.values.insert(path, Setting { text: text.to_owned(), value, origin });
    }

    /// Reports a key that does not exist.
    pub fn report_unknown(&mut self, path: &str, origin: Origin) {
        let nearest = if self.problems.is_full() { None } else { self.table.nearest_key(path) };
        let key = path.chars().take(MAX_SHOWN).collect();
        self.problems.push(Problem::UnknownKey { origin, key, nearest: nearest.map(|key| key.path) });
    }

    /// Reports a problem if both keys are set.
    pub fn check_exclusive(&mut self, first: &'static str, second: &'static str, remedy: &str) {
        let (Some(first_origin), Some(second_origin)) = (self.origin(first), self.origin(second)) else { return };
        self.problems.push(Problem::Contradiction {
            first: first.to_owned(),
            first_origin: first_origin.clone(),
            second,
            second_origin: second_origin.clone(),
            remedy: remedy.to_owned(),
        });
    }

    /// The value of a key as the type of the field that holds it. `None` always comes with a problem.
    pub fn read<T: FromValue>(&mut self, path: &'static str) -> Option<T> {
        let value = match self.value(path) {
            Some(value) => T::from_value(value),
            None => T::absent(),
        };
        // If there is a problem already, it is the reason; if there is none, type and kind in the declaration do not match.
        if value.is_none() && self.problems.is_empty() {
            self.problems.push(Problem::NoValue { key: path });
        }
        value
    }

    /// Every key with its setting, in the table's order.
    pub fn all(&self) -> impl Iterator<Item = (&'static Key, Option<&Setting>)> {
        self.table.keys().map(|key| (key, self.values.get(key.path)))
    }

    /// The setting of a key.
    pub fn setting(&self, key: &Key) -> Option<&Setting> {
        self.values.get(key.path)
    }

    /// Where a value came from, if there is one.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.values.get(path).filter(|setting| !setting.text.is_empty()).map(|setting| &setting.origin)
    }

    fn value(&self, path: &str) -> Option<&Value> {
        self.values.get(path)?.value.as_ref()
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
}

impl Setting {
    /// The parsed value; `None` if it was removed.
    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }

    /// The value as it may be shown; `None` if there is none.
    pub fn shown(&self, key: &Key) -> Option<String> {
        (!self.text.is_empty()).then(|| key.mask(&self.text))
    }
}

/// A wrong value for a message: in quotes, cut, and masked if it may hold a secret.
fn shown(key: &Key, text: &str) -> String {
    if key.secrecy != Secrecy::Public {
        return key.mask(text);
    }
    let cut: String = text.chars().take(MAX_SHOWN).collect();
    format!("{cut:?}{}", if cut.len() < text.len() { "..." } else { "" })
}
