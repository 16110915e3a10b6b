//! The body of a create, before it has been checked.
//!
//! Policy: all problems of all fields are reported together (`json_object.rs`). A lenient server (`api.lenient_create`) takes a number as the text that
//! it is written with, and a record without a name.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, IgnoredAny};

use super::json_object::{self, JsonField, JsonObject, NULL, Problem, text};
use super::record::{NewRecord, UnnamedRecord};

/// The fields of a record.
const FIELDS: [&str; 4] = ["id", "name", "status", "date"];
/// The position of the name among them.
const NAME: usize = 1;
/// The longest id, in characters.
const MAX_ID_CHARS: usize = 128;
/// The longest name, in characters.
pub(super) const MAX_NAME_CHARS: usize = 256;
/// The longest status, in characters.
pub(super) const MAX_STATUS_CHARS: usize = 64;

/// A JSON document that may be a valid record.
#[derive(Debug, Clone)]
pub struct CreateRequest(JsonObject<4>);

impl CreateRequest {
    /// The record, if the document is a valid one.
    ///
    /// # Errors
    /// All its problems. A document that is not an object has one, of the field `body`.
    pub fn check(self) -> Result<NewRecord, Vec<Problem>> {
        let UnnamedRecord { id, name, status, date } = self.check_fields(false)?;
        // A missing name is a problem here.
        Ok(NewRecord { id, name: name.unwrap_or_default(), status, date })
    }

    /// The record, if the document is a valid one, perhaps without a name.
    ///
    /// # Errors
    /// All its problems.
    pub fn check_lenient(self) -> Result<UnnamedRecord, Vec<Problem>> {
        self.check_fields(true)
    }

    /// Whether the document is an object without a name, and perhaps valid otherwise.
    pub fn lacks_name(&self) -> bool {
        self.0.lacks(NAME)
    }

    fn check_fields(mut self, may_lack_name: bool) -> Result<UnnamedRecord, Vec<Problem>> {
        let [id, name, status, date] = self.0.take_values("id, name, status and date")?;
        let mut problems = Vec::new();
        let id = text("id", id, MAX_ID_CHARS, &mut problems);
        let name = match name {
            JsonField::Missing | JsonField::Other(NULL) if may_lack_name => None,
            name => text("name", name, MAX_NAME_CHARS, &mut problems),
        };
        let status = text("status", status, MAX_STATUS_CHARS, &mut problems);
        let date = json_object::date(date, &mut problems);
        self.0.report_unknown("a record", &mut problems);
        match (id, status, date) {
            (Some(id), Some(status), Some(date)) if problems.is_empty() => Ok(UnnamedRecord { id, name, status, date }),
            _ => Err(problems),
        }
    }
}

/// The name in a record's JSON, if a create may have it. Other programs write to the table, too.
pub(super) fn name_in(json: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        name: Option<String>,
    }
    let name = serde_json::from_slice::<Named>(json).ok()?.name?;
    text("name", JsonField::Text(name), MAX_NAME_CHARS, &mut Vec::new())
}

/// A JSON object in which every number that is a field has become a text. What is not JSON stays as it is.
pub fn quote_numbers(json: &str) -> Cow<'_, str> {
    let (mut out, mut copied, mut depth, mut at) = (String::new(), 0, 0_usize, 0);
    let bytes = json.as_bytes();
    let is_object = json.trim_start().starts_with('{');
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    while let Some(byte) = bytes.get(at) {
        let mut end = at + 1;
        match byte {
            b'"' => end = end_of_string(bytes, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            // A number, a word, or what is no JSON.
            byte if is_token(byte) => {
                end = at + bytes[at..].iter().take_while(|byte| is_token(byte)).count();
                let token = &json[at..end];
                let is_number = !byte.is_ascii_alphabetic() && serde_json::from_str::<IgnoredAny>(token).is_ok();
                if is_number && is_object && depth == 1 {
                    out.extend([&json[copied..at], "\"", token, "\""]);
                    copied = end;
                }
            }
            _ => {}
        }
        at = end;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    out.push_str(&json[copied..]);
    Cow::Owned(out)
}

/// Where a JSON string that begins at `start` ends.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut is_escaped = false;
    for (at, byte) in bytes.iter().enumerate().skip(start + 1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    bytes.len()
}

impl<'de> Deserialize<'de> for CreateRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JsonObject::deserialize(&FIELDS, deserializer).map(Self)
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
        assert_eq!(found.len(), 4 + 8 + 1);
        assert!(found.iter().all(|p| p.chars().count() < 150));
    }
    #[test]
    fn a_number_becomes_the_text_that_it_is_written_with() {
        for (json, expected) in [
            (r#"{"id":7}"#, r#"{"id":"7"}"#),
            (r#"{"id": -0 ,"a":1.0,"b":1E+3}"#, r#"{"id": "-0" ,"a":"1.0","b":"1E+3"}"#),
            (r#"{"id":12345678901234567890123456789}"#, r#"{"id":"12345678901234567890123456789"}"#),
            (r#"{"a":[1,{"b":2}],"id":3}"#, r#"{"a":[1,{"b":2}],"id":"3"}"#),
            (r#"{"a":"1, 2: 3 \" 4","ü5":6}"#, r#"{"a":"1, 2: 3 \" 4","ü5":"6"}"#),
        ] {
            assert_eq!(quote_numbers(json), expected);
        }
        // Not JSON before, so not JSON afterwards.
        for json in [
            r#"{"id":01}"#,
            r#"{"id":1x}"#,
            r#"{"id":-}"#,
            r#"{"id":1.}"#,
            r#"{"id":+1}"#,
            "1",
            "[1]",
            r#"{"a":"1"#,
            "",
        ] {
            assert_eq!(quote_numbers(json), json);
        }
    }

    #[test]
    fn a_lenient_check_lets_only_the_name_be_missing() {
        let check = |json: &str| serde_json::from_str::<CreateRequest>(json).unwrap().check_lenient();
        for name in ["", r#","name":null"#] {
            let record = check(&format!(r#"{{"id":"1","status":"s","date":"2023-08-01"{name}}}"#)).unwrap();
            assert_eq!((record.id.as_str(), record.name), ("1", None));
        }
        let named = check(r#"{"id":"1","name":"n","status":"s","date":"2023-08-01"}"#).unwrap();
        assert_eq!(named.name.as_deref(), Some("n"));
        for name in [r#""""#, "true", "[]", r#"" x""#] {
            let problems =
                check(&format!(r#"{{"id":"1","status":"s","date":"2023-08-01","name":{name}}}"#)).unwrap_err();
            assert_eq!((problems.len(), problems[0].field.as_str()), (1, "name"), "{name}");
        }
        assert_eq!(check("{}").unwrap_err().len(), 3);
    }

    #[test]
    fn a_stored_name_is_used_only_if_a_create_may_have_it() {
        assert_eq!(name_in(br#"{"id":"1","name":"Zo\u00eb","status":"s","date":null}"#).as_deref(), Some("Zoë"));
        for name in ["null", r#""""#, r#"" ""#, r#""a\nb""#] {
            assert_eq!(name_in(format!(r#"{{"name":{name}}}"#).as_bytes()), None, "{name}");
        }
    }
}
