//! The wire types of views, the directory and the calendar, for the OpenAPI document.
//!
//! Policy: the domain writes and reads these objects itself, without knowing of OpenAPI; they are described here only.

use std::collections::BTreeMap;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, ToSchema};

use crate::attendance::SummaryKey;

/// A row for each employee, a column for each day.
#[derive(Debug, ToSchema)]
#[schema(example = json!({
    "from": "2026-01-30", "to": "2026-02-02",
    "days": [
        {"date": "2026-01-30", "kind": "workday", "name": null}, {"date": "2026-01-31", "kind": "weekend", "name": null},
        {"date": "2026-02-01", "kind": "weekend", "name": null}, {"date": "2026-02-02", "kind": "holiday", "name": "Founders' Day"}
    ],
    "employees": [{"id": "1", "name": "Asha", "department": "Sales", "days": ["Present", null, null, null], "totals": {"Present": 1}, "unrecorded": 0}]
}))]
#[expect(dead_code, reason = "describes what the domain writes")]
pub struct Sheet {
    /// The first day. Dates have the form of `api.date_format`.
    #[schema(example = "2026-01-30")]
    from: String,
    /// The last day.
    #[schema(example = "2026-02-02")]
    to: String,
    /// Each day from the first to the last.
    days: Vec<SheetDay>,
    /// The employees of this page, by id (in the database's text order).
    employees: Vec<SheetEmployee>,
}

/// A column of a sheet.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes what the domain writes")]
pub struct SheetDay {
    /// The day.
    #[schema(example = "2026-02-02")]
    date: String,
    /// Its kind: `workday`, `weekend` (by the weekly rule) or `holiday` (by the calendar).
    kind: DayKind,
    /// Its name in the calendar.
    #[schema(required = true)]
    name: Option<String>,
}

/// The kind of a day.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes what the domain writes")]
pub enum DayKind {
    /// People work.
    Workday,
    /// The weekly rule says that they do not.
    Weekend,
    /// The calendar says that they do not.
    Holiday,
}

/// A row of a sheet.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes what the domain writes")]
pub struct SheetEmployee {
    /// Employee.
    #[schema(example = "1")]
    id: String,
    /// The name in the directory; of employees that are not in it, that of the latest record.
    #[schema(required = true, example = "Asha")]
    name: Option<String>,
    /// The department in the directory.
    #[schema(required = true, example = "Sales")]
    department: Option<String>,
    /// The status of each day of the sheet, in its order; `null` where there is none.
    days: Vec<Option<String>>,
    /// How many days have each status. A status without days is left out.
    totals: BTreeMap<String, u32>,
    /// How many workdays up to today have no record, of those on which the employee was employed.
    unrecorded: u32,
}

/// Numbers of records by status.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"groups": [{"key": "2026-01", "counts": {"Absent": 2, "Present": 40}, "total": 42}]}))]
#[expect(dead_code, reason = "describes what the domain writes")]
pub struct Summary {
    /// The groups of this page, in the order of their keys.
    groups: Vec<SummaryGroup>,
}

/// A group of a summary.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes what the domain writes")]
pub struct SummaryGroup {
    /// The day (`2026-01-31`), week (`2026-W05`), month (`2026-01`), employee, department or status; `null` for records without one.
    #[schema(required = true, example = "2026-01")]
    key: Option<String>,
    /// How many records have each status. A status without records is left out.
    counts: BTreeMap<String, u64>,
    /// How many records there are.
    #[schema(example = 42)]
    total: u64,
}

/// An employee of the directory.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"id": "1", "name": "Asha", "department": "Sales", "joined_on": "2026-01-01", "left_on": null, "updated_at": "2026-01-31T08:30:00.123456Z"}))]
#[expect(dead_code, reason = "describes what the domain writes")]
pub struct Employee {
    /// The id, which records refer to.
    #[schema(example = "1")]
    id: String,
    /// Name.
    #[schema(example = "Asha")]
    name: String,
    /// Department.
    #[schema(required = true, example = "Sales")]
    department: Option<String>,
    /// The first day of the employment; `null` if it has none. Dates have the form of `api.date_format`.
    #[schema(required = true, example = "2026-01-01")]
    joined_on: Option<String>,
    /// The last day of the employment; `null` if it has none.
    #[schema(required = true)]
    left_on: Option<String>,
    /// When the employee was stored (RFC 3339).
    #[schema(required = true, format = DateTime, example = "2026-01-31T08:30:00.123456Z")]
    updated_at: Option<String>,
}

/// An employee, to be stored.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"name": "Asha", "department": "Sales", "joined_on": "2026-01-01"}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what the domain reads")]
pub struct NewEmployee {
    /// The id of the path, if it is repeated.
    #[schema(nullable = false)]
    id: Option<String>,
    /// Name. No control characters; no white space at the beginning or the end.
    #[schema(min_length = 1, max_length = 256, pattern = "text", example = "Asha")]
    name: String,
    /// Department. No control characters; no white space at the beginning or the end.
    #[schema(min_length = 1, max_length = 256, pattern = "text", example = "Sales")]
    department: Option<String>,
    /// The first day of the employment, `YYYY-MM-DD`.
    #[schema(format = Date, example = "2026-01-01")]
    joined_on: Option<String>,
    /// The last day of the employment, `YYYY-MM-DD`; not before the first one.
    #[schema(format = Date)]
    left_on: Option<String>,
}

/// A day that differs from the weekly rule.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"date": "2026-08-15", "kind": "holiday", "name": "Independence Day"}))]
#[expect(dead_code, reason = "describes what the domain writes")]
pub struct CalendarDay {
    /// The day. It has the form of `api.date_format`.
    #[schema(example = "2026-08-15")]
    date: String,
    /// `holiday` or `workday`.
    kind: OverrideKind,
    /// Its name.
    #[schema(required = true, example = "Independence Day")]
    name: Option<String>,
}

/// A day that differs from the weekly rule, to be stored.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"kind": "holiday", "name": "Independence Day"}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what the domain reads")]
pub struct NewCalendarDay {
    /// The day of the path, if it is repeated.
    #[schema(nullable = false, format = Date)]
    date: Option<String>,
    /// `holiday` or `workday`.
    kind: OverrideKind,
    /// Its name. No control characters; no white space at the beginning or the end.
    #[schema(min_length = 1, max_length = 256, pattern = "text", example = "Independence Day")]
    name: Option<String>,
}

/// What a day is instead.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes what the domain writes")]
pub enum OverrideKind {
    /// People do not work.
    Holiday,
    /// They do, even on a weekend.
    Workday,
}

/// The query parameters of `sheet`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which the handler reads without OpenAPI")]
pub struct SheetParameters {
    /// The first day.
    #[param(format = Date, example = "2026-01-01")]
    from: String,
    /// The last day; the sheet has at most 366 days.
    #[param(format = Date, example = "2026-01-31")]
    to: String,
    /// Only this employee.
    #[param(pattern = "filter")]
    id: Option<String>,
    /// Only employees who have this status on a day of the sheet. All of their days are shown.
    #[param(pattern = "filter")]
    status: Option<String>,
    /// Only employees of this department of the directory.
    #[param(pattern = "filter")]
    department: Option<String>,
}

/// The query parameters of `summary`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which the handler reads without OpenAPI")]
pub struct SummaryParameters {
    /// What the groups have in common.
    #[param(example = "month")]
    by: SummaryBy,
    /// Only this employee.
    #[param(pattern = "filter")]
    id: Option<String>,
    /// Only this status.
    #[param(pattern = "filter")]
    status: Option<String>,
    /// Only employees of this department of the directory.
    #[param(pattern = "filter")]
    department: Option<String>,
    /// At most this many groups. If there are more, the header `Link` leads to the next page.
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<u32>,
}

/// The words of the domain's keys of summaries, which know nothing of OpenAPI.
#[derive(Debug)]
pub struct SummaryBy;

impl utoipa::PartialSchema for SummaryBy {
    fn schema() -> RefOr<Schema> {
        let words = SummaryKey::WORDS.map(|(word, _)| word);
        let description = "What the groups of a summary have in common.";
        ObjectBuilder::new().schema_type(Type::String).description(Some(description)).enum_values(Some(words)).into()
    }
}

impl ToSchema for SummaryBy {}

/// The query parameters of the list of employees.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which the handler reads without OpenAPI")]
pub struct EmployeesParameters {
    /// Only employees whose id or name contains this text, in upper or lower case.
    #[param(pattern = "filter", example = "ash")]
    q: Option<String>,
    /// Only employees of this department.
    #[param(pattern = "filter")]
    department: Option<String>,
    /// Only employees who were employed on this day.
    #[param(pattern = "optional day")]
    active_on: Option<String>,
}
