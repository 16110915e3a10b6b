//! A JSON object from a client, with the fields that are known, before it has been checked.
//!
//! Policy: all problems of all fields are found and reported together. Of a key that occurs twice the last value counts,
//! as in the Python service; a key that is not a field is a problem.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::date::{ACCEPTED_FORMS, Date};

/// Characters of a client's input that are repeated in a message.
const MAX_ECHOED_CHARS: usize = 64;
/// Unknown keys that are listed; further ones are counted.
const MAX_LISTED_UNKNOWN: usize = 8;
/// The type of a field without a value.
pub(super) const NULL: &str = "null";

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The field, as the client spelled it, truncated to 64 characters.
    pub field: String,
    /// What is wrong and what is expected.
    pub problem: String,
}

impl Problem {
    /// A problem of a field, whose name is truncated.
    pub fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: truncate_for_message(field), problem: problem.into() }
    }
}

/// The value of a field, which should be a string. `Other` has the JSON type that it is instead.
#[derive(Debug, Clone, Default)]
pub(super) enum JsonField {
    #[default]
    Missing,
    Text(String),
    Other(&'static str),
}

/// A JSON document that may be an object with these fields.
#[derive(Debug, Clone)]
pub(super) struct JsonObject<const N: usize> {
    not_an_object: Option<&'static str>,
    /// In the order of the names.
    values: [JsonField; N],
    unknown: Vec<String>,
    unknown_unlisted: usize,
}

impl<const N: usize> JsonObject<N> {
    fn new(not_an_object: Option<&'static str>) -> Self {
        let values = std::array::from_fn(|_| JsonField::default());
        Self { not_an_object, values, unknown: Vec::new(), unknown_unlisted: 0 }
    }

    /// Reads a document whose fields have these names.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        names: &'static [&'static str; N],
        deserializer: D,
    ) -> Result<Self, D::Error> {
        Names(names).deserialize(deserializer)
    }

    /// The values of the fields, in the order of their names. `contents` says which fields the object has.
    ///
    /// # Errors
    /// When the document is not an object.
    pub(super) fn take_values(&mut self, contents: &str) -> Result<[JsonField; N], Vec<Problem>> {
        match self.not_an_object {
            Some(kind) => Err(vec![Problem::new("body", format!("must be a JSON object with {contents}, not {kind}"))]),
            None => Ok(std::mem::replace(&mut self.values, std::array::from_fn(|_| JsonField::default()))),
        }
    }

    /// Whether the document is an object in which the field at this position is missing.
    pub(super) fn lacks(&self, position: usize) -> bool {
        self.not_an_object.is_none() && matches!(self.values.get(position), Some(JsonField::Missing))
    }

    /// Adds the keys that are not fields. `noun` is what the object describes, with its article.
    pub(super) fn report_unknown(&self, noun: &str, problems: &mut Vec<Problem>) {
        problems.extend(self.unknown.iter().map(|key| Problem::new(key, format!("is not a field of {noun}"))));
        if self.unknown_unlisted > 0 {
            problems.push(Problem::new("body", format!("has {} more keys that are no fields", self.unknown_unlisted)));
        }
    }

    fn record_unknown(&mut self, key: String) {
        if self.unknown.len() == MAX_LISTED_UNKNOWN {
            self.unknown_unlisted += 1;
        } else if !self.unknown.contains(&key) {
            self.unknown.push(key);
        }
    }
}

/// A text of 1 to so many characters, without control characters and without white space around it; otherwise a problem.
pub(super) fn text(field: &str, value: JsonField, max_chars: usize, problems: &mut Vec<Problem>) -> Option<String> {
    let text = string(field, value, problems)?;
    match text_problem(&text, max_chars) {
        None => return Some(text),
        Some(problem) => problems.push(Problem::new(field, problem)),
    }
    None
}

/// The problem of a text that must have 1 to `max_chars` characters, if it has one.
pub fn text_problem(text: &str, max_chars: usize) -> Option<String> {
    if text.is_empty() {
        Some("must not be empty".to_owned())
    } else if text.len() > max_chars && text.chars().nth(max_chars).is_some() {
        Some(format!("must have at most {max_chars} characters"))
    } else if text.chars().any(char::is_control) {
        Some("must not contain control characters".to_owned())
    } else if text.trim().len() != text.len() {
        Some("must not begin or end with white space".to_owned())
    } else {
        None
    }
}

/// A text like [`text`] that may also be missing or null.
pub(super) fn optional_text(
    field: &str,
    value: JsonField,
    max_chars: usize,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    match value {
        JsonField::Missing | JsonField::Other(NULL) => None,
        value => text(field, value, max_chars, problems),
    }
}

/// A day in the form `YYYY-MM-DD` that may also be missing or null; otherwise a problem.
pub(super) fn optional_day(field: &str, value: JsonField, problems: &mut Vec<Problem>) -> Option<Date> {
    let text = match value {
        JsonField::Missing | JsonField::Other(NULL) => return None,
        value => string(field, value, problems)?,
    };
    let day = Date::parse_iso(&text);
    if day.is_none() {
        let text = truncate_for_message(&text);
        problems.push(Problem::new(field, format!("`{text}` is not a day: write YYYY-MM-DD")));
    }
    day
}

/// A value that the path has, too: it may be missing, and otherwise must be equal.
pub(super) fn repeated(field: &str, value: JsonField, in_path: &str, problems: &mut Vec<Problem>) {
    match value {
        JsonField::Missing => {}
        JsonField::Text(text) if text == in_path => {}
        JsonField::Text(_) | JsonField::Other(_) => {
            let in_path = truncate_for_message(in_path);
            problems.push(Problem::new(field, format!("differs from the path, which has `{in_path}`: leave it out")));
        }
    }
}

/// A day in one of the forms that are accepted; otherwise a problem.
pub(super) fn date(value: JsonField, problems: &mut Vec<Problem>) -> Option<Date> {
    let text = string("date", value, problems)?;
    let date = Date::parse(&text);
    if date.is_none() {
        problems
            .push(Problem::new("date", format!("`{}` is not a date: {ACCEPTED_FORMS}", truncate_for_message(&text))));
    }
    date
}

pub(super) fn string(field: &str, value: JsonField, problems: &mut Vec<Problem>) -> Option<String> {
    let problem = match value {
        JsonField::Text(text) => return Some(text),
        JsonField::Missing => "is required".to_owned(),
        JsonField::Other(kind) => format!("must be a string, not {kind}"),
    };
    problems.push(Problem::new(field, problem));
    None
}

/// A client's text, short enough to be repeated in a message.
pub fn truncate_for_message(text: &str) -> String {
    if text.chars().nth(MAX_ECHOED_CHARS).is_none() {
        return text.to_owned();
    }
    text.chars().take(MAX_ECHOED_CHARS - 1).chain(['…']).collect()
}

/// The names of the fields.
struct Names<const N: usize>(&'static [&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Names<N> {
    type Value = JsonObject<N>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<JsonObject<N>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<const N: usize> Names<N> {
    fn not_an_object<E>(kind: &'static str) -> Result<JsonObject<N>, E> {
        Ok(JsonObject::new(Some(kind)))
    }
}

impl<'de, const N: usize> Visitor<'de> for Names<N> {
    type Value = JsonObject<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject<N>, A::Error> {
        let mut object = JsonObject::new(None);
        while let Some(key) = map.next_key::<String>()? {
            match self.0.iter().position(|name| *name == key) {
                Some(position) => object.values[position] = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                    object.record_unknown(key);
                }
            }
        }
        Ok(object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<JsonObject<N>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Self::not_an_object("an array")
    }

    fn visit_str<E>(self, _: &str) -> Result<JsonObject<N>, E> {
        Self::not_an_object("a string")
    }

    fn visit_unit<E>(self) -> Result<JsonObject<N>, E> {
        Self::not_an_object("null")
    }

    fn visit_bool<E>(self, _: bool) -> Result<JsonObject<N>, E> {
        Self::not_an_object("a boolean")
    }

    fn visit_i64<E>(self, _: i64) -> Result<JsonObject<N>, E> {
        Self::not_an_object("a number")
    }

    fn visit_u64<E>(self, _: u64) -> Result<JsonObject<N>, E> {
        Self::not_an_object("a number")
    }

    fn visit_f64<E>(self, _: f64) -> Result<JsonObject<N>, E> {
        Self::not_an_object("a number")
    }
}

impl<'de> Deserialize<'de> for JsonField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonFieldVisitor)
    }
}

struct JsonFieldVisitor;

impl<'de> Visitor<'de> for JsonFieldVisitor {
    type Value = JsonField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<JsonField, E> {
        Ok(JsonField::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<JsonField, E> {
        Ok(JsonField::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonField, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(JsonField::Other("an object"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<JsonField, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(JsonField::Other("an array"))
    }

    fn visit_unit<E>(self) -> Result<JsonField, E> {
        Ok(JsonField::Other(NULL))
    }

    fn visit_bool<E>(self, _: bool) -> Result<JsonField, E> {
        Ok(JsonField::Other("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<JsonField, E> {
        Ok(JsonField::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<JsonField, E> {
        Ok(JsonField::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<JsonField, E> {
        Ok(JsonField::Other("a number"))
    }
}
