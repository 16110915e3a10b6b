//! An employee of the directory.

use serde::de::{Deserialize, Deserializer};
use tokio_postgres::Row;

use super::create_request::MAX_NAME_CHARS;
use super::date::Date;
use super::json;
use super::json_object::{self, JsonObject, Problem, text_problem};
use super::record::{RecordFormat, append_date};

/// The fields of a request.
const FIELDS: [&str; 5] = ["id", "name", "department", "joined_on", "left_on"];
/// The longest id, in characters.
const MAX_ID_CHARS: usize = 128;

/// A valid employee, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Employee {
    /// The id, which records refer to.
    pub id: String,
    /// The name.
    pub name: String,
    /// The department.
    pub department: Option<String>,
    /// The first day of the employment; `None` if it always was one.
    pub joined_on: Option<Date>,
    /// The last day of the employment; `None` if it has none.
    pub left_on: Option<Date>,
}

/// A JSON document that may be a valid employee.
#[derive(Debug)]
pub struct EmployeeRequest(JsonObject<5>);

/// Which employees are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmployeesQuery {
    /// Only those whose id or name contains this text, in upper or lower case.
    pub q: Option<String>,
    /// Only those of this department.
    pub department: Option<String>,
    /// Only those who were employed on this day.
    pub active_on: Option<Date>,
    /// At most so many.
    pub limit: u32,
    /// Only those after this one.
    pub after: Option<String>,
}

impl EmployeeRequest {
    /// The employee that is to be stored under an id.
    ///
    /// # Errors
    /// All problems of the document and of the id.
    pub fn check(mut self, id: &str) -> Result<Employee, Vec<Problem>> {
        let [repeated_id, name, department, joined_on, left_on] =
            self.0.take_values("name, department, joined_on and left_on")?;
        let mut problems = Vec::new();
        problems.extend(text_problem(id, MAX_ID_CHARS).map(|problem| Problem::new("id", problem)));
        json_object::repeated("id", repeated_id, id, &mut problems);
        let name = json_object::text("name", name, MAX_NAME_CHARS, &mut problems);
        let department = json_object::optional_text("department", department, MAX_NAME_CHARS, &mut problems);
        let joined_on = json_object::optional_day("joined_on", joined_on, &mut problems);
        let left_on = json_object::optional_day("left_on", left_on, &mut problems);
        if let (Some(joined), Some(left)) = (joined_on, left_on)
            && left < joined
        {
            problems.push(Problem::new("left_on", format!("is before `joined_on`: {left} is before {joined}")));
        }
        self.0.report_unknown("an employee", &mut problems);
        match name {
            Some(name) if problems.is_empty() => {
                Ok(Employee { id: id.to_owned(), name, department, joined_on, left_on })
            }
            _ => Err(problems),
        }
    }
}

impl<'de> Deserialize<'de> for EmployeeRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JsonObject::deserialize(&FIELDS, deserializer).map(Self)
    }
}

/// The columns of [`write_employee`].
pub(super) const EMPLOYEE_COLUMNS: &str = "id, name, department, joined_on, left_on, \
     to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

/// Appends the employee in a row of [`EMPLOYEE_COLUMNS`] as a JSON object.
///
/// # Errors
/// When a column has another type.
pub(super) fn write_employee(row: &Row, format: RecordFormat, out: &mut Vec<u8>) -> Result<(), tokio_postgres::Error> {
    for (position, name) in [r#"{"id":"#, r#","name":"#, r#","department":"#].into_iter().enumerate() {
        out.extend_from_slice(name.as_bytes());
        json::append_optional(out, row.try_get(position)?, format.charset);
    }
    out.extend_from_slice(br#","joined_on":"#);
    append_date(out, row.try_get(3)?, format);
    out.extend_from_slice(br#","left_on":"#);
    append_date(out, row.try_get(4)?, format);
    out.extend_from_slice(br#","updated_at":"#);
    json::append_optional(out, row.try_get(5)?, format.charset);
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, json: &str) -> Result<Employee, String> {
        serde_json::from_str::<EmployeeRequest>(json).unwrap().check(id).map_err(|problems| {
            problems
                .iter()
                .map(|problem| format!("{} {}", problem.field, problem.problem))
                .collect::<Vec<_>>()
                .join("; ")
        })
    }

    #[test]
    fn an_employee_needs_a_name_only() {
        let employee = check("1", r#"{"name":"Asha"}"#).unwrap();
        assert_eq!((employee.id.as_str(), employee.name.as_str(), employee.department), ("1", "Asha", None));
        let all = r#"{"id":"1","name":"Asha","department":"Sales","joined_on":"2026-01-01","left_on":"2026-01-01"}"#;
        let employee = check("1", all).unwrap();
        assert_eq!((employee.department.as_deref(), employee.joined_on), (Some("Sales"), Date::parse("2026-01-01")));
        let nulls = r#"{"name":"Asha","department":null,"joined_on":null,"left_on":null}"#;
        assert_eq!(check("1", nulls).unwrap().left_on, None);
    }

    #[test]
    fn all_problems_are_named_together() {
        for (id, json, expected) in [
            ("1", "[]", "body must be a JSON object with name, department, joined_on and left_on, not an array"),
            ("1", "{}", "name is required"),
            ("", r#"{"name":"a"}"#, "id must not be empty"),
            ("a\u{0}", r#"{"name":"a"}"#, "id must not contain control characters"),
            ("1", r#"{"name":"a","id":"2"}"#, "id differs from the path, which has `1`: leave it out"),
            ("1", r#"{"name":"a","id":1}"#, "id differs from the path, which has `1`: leave it out"),
            (
                "1",
                r#"{"name":" a","department":""}"#,
                "name must not begin or end with white space; department must not be empty",
            ),
            (
                "1",
                r#"{"name":1,"joined_on":"2026-02-30"}"#,
                "name must be a string, not a number; joined_on `2026-02-30` is not a day: write YYYY-MM-DD",
            ),
            (
                "1",
                r#"{"name":"a","joined_on":"2026-02-01","left_on":"2026-01-31"}"#,
                "left_on is before `joined_on`: 2026-01-31 is before 2026-02-01",
            ),
            ("1", r#"{"name":"a","joinedOn":null}"#, "joinedOn is not a field of an employee"),
        ] {
            assert_eq!(check(id, json).unwrap_err(), expected, "{json}");
        }
        let many: String = (0..20).map(|n| format!(",\"x{n}\":1")).collect();
        assert!(
            check("1", &format!("{{\"name\":\"a\"{many}}}"))
                .unwrap_err()
                .ends_with("body has 12 more keys that are no fields")
        );
        assert!(check(&"x".repeat(129), r#"{"name":"a"}"#).unwrap_err().contains("at most 128"));
    }
}
