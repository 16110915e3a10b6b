//! The body of a create, before it has been checked.
//!
//! Policy: all problems of all fields are found and reported together. Of a key that occurs twice the last value counts,
//! as in the Python service; a key that is not a field is a problem.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::date::{ACCEPTED_FORMS, Date};
use super::record::NewRecord;

/// Characters of a client's input that are repeated in a message.
const MAX_ECHOED_CHARS: usize = 64;
/// Unknown keys that are listed; further ones are counted.
const MAX_LISTED_UNKNOWN: usize = 8;

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
#[derive(Debug, Default)]
enum JsonField {
    #[default]
    Missing,
    Text(String),
    Other(&'static str),
}

/// A JSON document that may be a valid record.
#[derive(Debug, Default)]
pub struct CreateRequest {
    not_an_object: Option<&'static str>,
    id: JsonField,
    name: JsonField,
    status: JsonField,
    date: JsonField,
    unknown: Vec<String>,
    unknown_unlisted: usize,
}

impl CreateRequest {
    fn record_unknown(&mut self, key: String) {
        if self.unknown.len() == MAX_LISTED_UNKNOWN {
            self.unknown_unlisted += 1;
        } else if !self.unknown.contains(&key) {
            self.unknown.push(key);
        }
    }

    /// The record, if the document is a valid one.
    ///
    /// # Errors
    /// All its problems. A document that is not an object has one, of the field `body`.
    pub fn check(self) -> Result<NewRecord, Vec<Problem>> {
        if let Some(kind) = self.not_an_object {
            let problem = format!("must be a JSON object with id, name, status and date, not {kind}");
            return Err(vec![Problem::new("body", problem)]);
        }
        let mut problems = Vec::new();
        let id = text("id", self.id, 128, &mut problems);
        let name = text("name", self.name, 256, &mut problems);
        let status = text("status", self.status, 64, &mut problems);
        let date = date(self.date, &mut problems);
        problems.extend(self.unknown.iter().map(|key| Problem::new(key, "is not a field of a record")));
        if self.unknown_unlisted > 0 {
            problems.push(Problem::new("body", format!("has {} more keys that are no fields", self.unknown_unlisted)));
        }
        match (id, name, status, date) {
            (Some(id), Some(name), Some(status), Some(date)) if problems.is_empty() => {
                Ok(NewRecord { id, name, status, date })
            }
            _ => Err(problems),
        }
    }
}

fn text(field: &str, value: JsonField, max_chars: usize, problems: &mut Vec<Problem>) -> Option<String> {
    let text = string(field, value, problems)?;
    let problem = if text.is_empty() {
        "must not be empty".to_owned()
    } else if text.chars().nth(max_chars).is_some() {
        format!("must have at most {max_chars} characters")
    } else if text.chars().any(char::is_control) {
        "must not contain control characters".to_owned()
    } else if text.trim().len() != text.len() {
        "must not begin or end with white space".to_owned()
    } else {
        return Some(text);
    };
    problems.push(Problem::new(field, problem));
    None
}

fn date(value: JsonField, problems: &mut Vec<Problem>) -> Option<Date> {
    let text = string("date", value, problems)?;
    let date = Date::parse(&text);
    if date.is_none() {
        problems
            .push(Problem::new("date", format!("`{}` is not a date: {ACCEPTED_FORMS}", truncate_for_message(&text))));
    }
    date
}

fn string(field: &str, value: JsonField, problems: &mut Vec<Problem>) -> Option<String> {
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

impl<'de> Deserialize<'de> for CreateRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CreateRequestVisitor)
    }
}

struct CreateRequestVisitor;

impl CreateRequestVisitor {
    fn not_an_object<E>(kind: &'static str) -> Result<CreateRequest, E> {
        Ok(CreateRequest { not_an_object: Some(kind), ..CreateRequest::default() })
    }
}

impl<'de> Visitor<'de> for CreateRequestVisitor {
    type Value = CreateRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CreateRequest, A::Error> {
        let mut request = CreateRequest::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "id" => request.id = map.next_value()?,
                "name" => request.name = map.next_value()?,
                "status" => request.status = map.next_value()?,
                "date" => request.date = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    request.record_unknown(key);
                }
            }
        }
        Ok(request)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<CreateRequest, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Self::not_an_object("an array")
    }

    fn visit_str<E>(self, _: &str) -> Result<CreateRequest, E> {
        Self::not_an_object("a string")
    }

    fn visit_unit<E>(self) -> Result<CreateRequest, E> {
        Self::not_an_object("null")
    }

    fn visit_bool<E>(self, _: bool) -> Result<CreateRequest, E> {
        Self::not_an_object("a boolean")
    }

    fn visit_i64<E>(self, _: i64) -> Result<CreateRequest, E> {
        Self::not_an_object("a number")
    }

    fn visit_u64<E>(self, _: u64) -> Result<CreateRequest, E> {
        Self::not_an_object("a number")
    }

    fn visit_f64<E>(self, _: f64) -> Result<CreateRequest, E> {
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
        Ok(JsonField::Other("null"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> Vec<String> {
        let request: CreateRequest = serde_json::from_str(json).unwrap();
        request.check().err().unwrap_or_default().into_iter().map(|p| format!("{} {}", p.field, p.problem)).collect()
    }

    #[test]
    fn keys_may_have_any_order_and_the_last_of_two_equal_ones_counts() {
        let request: CreateRequest =
            serde_json::from_str(r#"{"date":"2023-08-01","id":"k1","status":"s","name":"ü n","id":"k2"}"#).unwrap();
        let record = request.check().unwrap();
        assert_eq!((record.id.as_str(), record.name.as_str(), record.status.as_str()), ("k2", "ü n", "s"));
        assert_eq!(record.date.to_string(), "2023-08-01");
    }

    #[test]
    fn all_problems_are_reported_together() {
        let found = problems(r#"{"id":1,"name":null,"status":" x","date":"01/08/2023","extra":{"a":[1]}}"#);
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(found[0], "id must be a string, not a number");
        assert_eq!(found[1], "name must be a string, not null");
        assert_eq!(found[2], "status must not begin or end with white space");
        assert!(found[3].starts_with("date `01/08/2023` is not a date: accepted are"));
        assert_eq!(found[4], "extra is not a field of a record");
        assert_eq!(problems("{}").len(), 4);
    }

    #[test]
    fn limits_count_characters_and_are_inclusive() {
        let json = |id: &str| format!(r#"{{"id":"{id}","name":"n","status":"s","date":"2023-08-01"}}"#);
        assert!(problems(&json(&"ü".repeat(128))).is_empty());
        assert_eq!(problems(&json(&"ü".repeat(129))), ["id must have at most 128 characters"]);
        assert_eq!(problems(&json("")), ["id must not be empty"]);
        assert_eq!(problems(&json("a\\u0000b")), ["id must not contain control characters"]);
        assert_eq!(problems(&json("a\\u0085b")), ["id must not contain control characters"]);
        assert_eq!(problems(&json("\\u00a0b")), ["id must not begin or end with white space"]);
    }

    #[test]
    fn a_document_that_is_not_an_object_is_named_by_its_type() {
        for (json, kind) in [
            ("[{}]", "an array"),
            ("null", "null"),
            ("\"x\"", "a string"),
            ("5", "a number"),
            ("-1.5", "a number"),
            ("true", "a boolean"),
        ] {
            assert!(problems(json)[0].ends_with(&format!("not {kind}")), "{json}");
        }
    }

    #[test]
    fn many_unknown_keys_are_counted_and_truncated() {
        let keys: Vec<String> = (0..1000).map(|i| format!("\"{}{i}\":0", "k".repeat(200))).collect();
        let found = problems(&format!("{{{}}}", keys.join(",")));
        assert_eq!(found.len(), 4 + MAX_LISTED_UNKNOWN + 1);
        assert!(found.iter().all(|p| p.chars().count() < 150));
    }
}
