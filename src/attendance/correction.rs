//! A correction of a record, and the deletion of one: what a client sends, and its checks.
//!
//! Policy: each has a reason, which the history keeps. A correction gives the record its whole content; it never creates one.

use serde::de::{Deserialize, Deserializer};

use super::create_request::{MAX_NAME_CHARS, MAX_STATUS_CHARS};
use super::date::Date;
use super::json_object::{JsonField, JsonObject, Problem, date, text, text_problem};
use super::rules::Rules;

/// The longest reason, in characters.
pub const MAX_REASON_CHARS: usize = 500;
/// The fields of a correction.
const FIELDS: [&str; 5] = ["id", "name", "status", "date", "reason"];

/// A valid correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// Employee.
    pub id: String,
    /// Day.
    pub date: Date,
    /// The new name.
    pub name: String,
    /// The new status.
    pub status: String,
    /// Why.
    pub reason: String,
}

/// A valid deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Employee.
    pub id: String,
    /// Day.
    pub date: Date,
    /// Why.
    pub reason: String,
}

/// The body of a correction, before it has been checked.
#[derive(Debug)]
pub struct CorrectionRequest(JsonObject<5>);

impl CorrectionRequest {
    /// The correction of the record of an employee and day, if the document is a valid one. It may repeat both.
    ///
    /// # Errors
    /// All its problems.
    pub fn check(mut self, id: String, day: Date, rules: &Rules) -> Result<Correction, Vec<Problem>> {
        let [sent_id, name, status, sent_day, reason] = self.0.take_values("name, status and reason")?;
        let mut problems = Vec::new();
        check_repeated(sent_id, sent_day, &id, day, &mut problems);
        let name = text("name", name, MAX_NAME_CHARS, &mut problems);
        let status = text("status", status, MAX_STATUS_CHARS, &mut problems);
        problems.extend(status.as_ref().and_then(|status| rules.check_status(status)));
        let reason = text("reason", reason, MAX_REASON_CHARS, &mut problems);
        self.0.report_unknown("correction", &mut problems);
        match (name, status, reason) {
            (Some(name), Some(status), Some(reason)) if problems.is_empty() => {
                Ok(Correction { id, date: day, name, status, reason })
            }
            _ => Err(problems),
        }
    }
}

/// A body that repeats the key of the record must have the one of the request's target.
fn check_repeated(sent_id: JsonField, sent_day: JsonField, id: &str, day: Date, problems: &mut Vec<Problem>) {
    let differs = "differs from the record that the request is about; leave it out, or send it as it is there";
    if !matches!(&sent_id, JsonField::Missing) && !matches!(&sent_id, JsonField::Text(sent) if sent == id) {
        problems.push(Problem::new("id", differs));
    }
    if !matches!(&sent_day, JsonField::Missing)
        && let Some(sent) = date(sent_day, problems)
        && sent != day
    {
        problems.push(Problem::new("date", differs));
    }
}

/// What is wrong with a reason.
pub fn reason_problem(reason: &str) -> Option<String> {
    text_problem(reason, MAX_REASON_CHARS)
}

impl<'de> Deserialize<'de> for CorrectionRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JsonObject::deserialize(&FIELDS, deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Correction, Vec<String>> {
        let request: CorrectionRequest = serde_json::from_str(json).unwrap();
        let day = Date::parse("2026-01-31").unwrap();
        let describe = |p: Problem| format!("{} {}", p.field, p.problem);
        let checked = request.check("1".to_owned(), day, &Rules::default());
        checked.map_err(|problems| problems.into_iter().map(describe).collect())
    }

    #[test]
    fn a_correction_may_repeat_the_key_of_its_record() {
        for key in ["", r#""id":"1","#, r#""id":"1","date":"2026-01-31","#, r#""date":"20260131","#] {
            let correction = check(&format!(r#"{{{key}"name":"n","status":"s","reason":"r"}}"#)).unwrap();
            assert_eq!((correction.id.as_str(), correction.reason.as_str()), ("1", "r"));
        }
        for key in [r#""id":"2","#, r#""id":1,"#, r#""id":null,"#, r#""date":"2026-01-30","#] {
            let problems = check(&format!(r#"{{{key}"name":"n","status":"s","reason":"r"}}"#)).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains("differs"), "{key}: {problems:?}");
        }
    }

    #[test]
    fn all_problems_are_reported_together() {
        let problems = check(r#"{"date":"x","name":"","reason":"","extra":1}"#).unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:?}");
        let reason = |reason: &str| check(&format!(r#"{{"name":"n","status":"s","reason":"{reason}"}}"#));
        assert!(reason(&"ü".repeat(500)).is_ok());
        assert_eq!(reason(&"ü".repeat(501)).unwrap_err(), ["reason must have at most 500 characters"]);
        assert_eq!(reason("").unwrap_err(), ["reason must not be empty"]);
        assert_eq!(check("[]").unwrap_err(), ["body must be a JSON object with name, status and reason, not an array"]);
    }
}
