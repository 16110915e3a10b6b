//! The wire types of records and errors: what is sent as JSON and what the OpenAPI document says about it.
//!
//! Policy: every JSON object that a client sends or receives is described here or in `view_schema.rs` and `health_schema.rs`, and [`Schemas`] lists them
//! for the document; a pattern that several fields have is named (`named_pattern.rs`).
//! The domain writes records and reads creates itself, without knowing of OpenAPI; those types are described here only.

use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{health_schema, view_schema};
use crate::attendance::Problem;

/// The schemas of the OpenAPI document.
#[derive(OpenApi)]
#[openapi(components(schemas(
    NewRecord,
    Record,
    Correction,
    HistoryEntry,
    ChangeEntry,
    ChangedContent,
    RecordWithCreation,
    RecordsAnswer,
    ErasedCounts,
    ErasedPerson,
    Message,
    ErrorBody,
    FieldProblem,
    health_schema::HealthDetail,
    view_schema::Sheet,
    view_schema::Summary,
    view_schema::SummaryBy,
    view_schema::Employee,
    view_schema::NewEmployee,
    view_schema::CalendarDay,
    view_schema::NewCalendarDay
)))]
pub struct Schemas;

/// One employee's status on one day, to be stored.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"id": "1", "name": "Asha", "status": "Present", "date": "2026-01-31"}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the domain's create request, which knows nothing of OpenAPI")]
pub struct NewRecord {
    /// Employee. No control characters; no white space at the beginning or the end.
    #[schema(min_length = 1, max_length = 128, pattern = "text", example = "1")]
    id: String,
    /// Name. No control characters; no white space at the beginning or the end.
    #[schema(min_length = 1, max_length = 256, pattern = "text", example = "Asha")]
    name: String,
    /// Status. No control characters; no white space at the beginning or the end.
    #[schema(min_length = 1, max_length = 64, pattern = "text", example = "Present")]
    status: String,
    /// Day, from year 0001 to year 9999: `YYYY-MM-DD`. For older clients, more forms than this schema describes are accepted: an ISO
    /// 8601 time may follow and is ignored, and there are `YYYYMMDD`, `YYYY/MM/DD` and `Tue, 01 Aug 2023 00:00:00 GMT`.
    #[schema(format = Date, pattern = "day", example = "2026-01-31")]
    date: String,
}

/// One employee's status on one day, as it is stored. Other programs may also write to the table: a column that they left
/// empty is `null`.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"id": "1", "name": "Asha", "status": "Present", "date": "2026-01-31"}))]
#[expect(dead_code, reason = "describes the domain's record, which knows nothing of OpenAPI")]
pub struct Record {
    /// Employee.
    #[schema(required = true, example = "1")]
    id: Option<String>,
    /// Name.
    #[schema(required = true, example = "Asha")]
    name: Option<String>,
    /// Status.
    #[schema(required = true, example = "Present")]
    status: Option<String>,
    /// Day: `YYYY-MM-DD`, or `Tue, 01 Aug 2023 00:00:00 GMT` if `api.date_format` is `http`. A day that a create cannot
    /// contain (`infinity`, before year 1, after year 9999) has PostgreSQL's form.
    #[schema(required = true, example = "2026-01-31")]
    date: Option<String>,
}

/// An answer that is one sentence.
#[derive(Debug, Serialize, ToSchema)]
pub struct Message<'a> {
    /// The sentence.
    pub message: &'a str,
}

/// Why a request failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody<'a> {
    /// The kind of error, in a few words.
    pub error: &'a str,
    /// What failed and what to do about it, in a sentence.
    pub message: &'a str,
    /// Every problem, by field; present only if fields are at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<FieldProblem>, required = false)]
    pub details: &'a [Problem],
}

/// One problem of one field.
#[derive(Debug, ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "describes the domain's `Problem`, which knows nothing of OpenAPI")]
pub struct FieldProblem {
    /// The field or query parameter; `body` for the whole body. Shortened to 64 characters.
    #[schema(max_length = 64)]
    field: String,
    /// What is wrong and what is expected.
    problem: String,
}

/// The new content of a record.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"name": "Asha", "status": "Half Day", "reason": "left at noon"}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the domain's correction, which knows nothing of OpenAPI")]
pub struct Correction {
    /// Name. No control characters; no white space at the beginning or the end.
    #[schema(min_length = 1, max_length = 256, pattern = "text")]
    name: String,
    /// Status. No control characters; no white space at the beginning or the end. `attendance.statuses` may limit it.
    #[schema(min_length = 1, max_length = 64, pattern = "text")]
    status: String,
    /// Why the record is corrected. No control characters; no white space at the beginning or the end.
    #[schema(min_length = 1, max_length = 500, pattern = "text")]
    reason: String,
    /// The employee of the record, which may be repeated.
    #[schema(nullable = false)]
    id: Option<String>,
    /// The day of the record, which may be repeated.
    #[schema(nullable = false, format = Date)]
    date: Option<String>,
}

/// What happened to a record.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"at": "2026-01-31T08:30:00.123456Z", "action": "corrected", "before": {"id": "1", "name": "Asha", "status": "Present", "date": "2026-01-31"}, "after": {"id": "1", "name": "Asha", "status": "Half Day", "date": "2026-01-31"}, "reason": "left at noon", "by": null, "address": "192.0.2.7", "request_id": "6a1c0f2e9b7d4835-12"}))]
#[expect(dead_code, reason = "describes the domain's entry, which knows nothing of OpenAPI")]
pub struct HistoryEntry {
    /// When (RFC 3339); `null` for the creation of a record by a version that did not note it.
    #[schema(format = DateTime, required = true)]
    at: Option<String>,
    /// `created`, `corrected` or `deleted`.
    #[schema(pattern = "^(created|corrected|deleted)$")]
    action: String,
    /// The record before; `null` for `created`.
    #[schema(required = true)]
    before: Option<Record>,
    /// The record afterwards; `null` for `deleted`.
    #[schema(required = true)]
    after: Option<Record>,
    /// Why; `null` for `created`.
    #[schema(required = true)]
    reason: Option<String>,
    /// The account that asked for it; `null` without access control.
    #[schema(required = true)]
    by: Option<String>,
    /// The address of the client; `null` for `created`, and for roles below manager.
    #[schema(required = true)]
    address: Option<String>,
    /// The `X-Request-Id` of the request; `null` for `created`.
    #[schema(required = true)]
    request_id: Option<String>,
}

/// What happened to some record.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"at": "2026-01-31T08:30:00.123456Z", "action": "deleted", "id": "1", "date": "2026-01-31", "before": {"id": "1", "name": "Asha", "status": "Present", "date": "2026-01-31"}, "after": null, "reason": "entered twice", "by": null, "address": "192.0.2.7", "request_id": "6a1c0f2e9b7d4835-12"}))]
#[expect(dead_code, reason = "describes the domain's entry, which knows nothing of OpenAPI")]
pub struct ChangeEntry {
    /// When (RFC 3339).
    #[schema(format = DateTime)]
    at: String,
    /// `corrected`, `deleted` or `erased`.
    #[schema(pattern = "^(corrected|deleted|erased)$")]
    action: String,
    /// The employee; `null` for `erased`.
    #[schema(required = true)]
    id: Option<String>,
    /// The day of the record; `null` for `erased`.
    #[schema(required = true)]
    date: Option<String>,
    /// The record before; for `erased`, the counts of what was erased.
    #[schema(required = true)]
    before: Option<ChangedContent>,
    /// The record afterwards; `null` for `deleted` and `erased`.
    #[schema(required = true)]
    after: Option<Record>,
    /// Why; `null` for `erased`.
    #[schema(required = true)]
    reason: Option<String>,
    /// The account that asked for it; `null` without access control.
    #[schema(required = true)]
    by: Option<String>,
    /// The address of the client; `null` for `erased`.
    #[schema(required = true)]
    address: Option<String>,
    /// The `X-Request-Id` of the request; `null` for `erased`.
    #[schema(required = true)]
    request_id: Option<String>,
}

/// What a change replaced.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the domain's entry, which knows nothing of OpenAPI")]
pub enum ChangedContent {
    /// Of a correction or deletion.
    Record(Record),
    /// Of an erasure.
    Counts(ErasedCounts),
}

/// A record with when and by whom it was created.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"id": "1", "name": "Asha", "status": "Present", "date": "2026-01-31", "created_at": "2026-01-31T08:30:00.123456Z", "created_by": null}))]
#[expect(dead_code, reason = "describes the domain's record, which knows nothing of OpenAPI")]
pub struct RecordWithCreation {
    /// Employee.
    id: String,
    /// Name.
    #[schema(required = true)]
    name: Option<String>,
    /// Status.
    #[schema(required = true)]
    status: Option<String>,
    /// Day, in the form that `api.date_format` says.
    #[schema(example = "2026-01-31")]
    date: String,
    /// When it was created (RFC 3339); `null` if that was by a version that did not note it.
    #[schema(required = true, format = DateTime)]
    created_at: Option<String>,
    /// The account that created it; `null` without access control.
    #[schema(required = true)]
    created_by: Option<String>,
}

/// One record, or a list.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes an answer of the domain, which knows nothing of OpenAPI")]
pub enum RecordsAnswer {
    /// Of a list.
    List(Vec<RecordWithCreation>),
    /// With `date`.
    One(Record),
}

/// How much was erased.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"records": 240, "changes": 3, "employees": 1}))]
#[expect(dead_code, reason = "describes the domain's counts, which know nothing of OpenAPI")]
pub struct ErasedCounts {
    /// Records.
    records: i64,
    /// Entries of the history.
    changes: i64,
    /// Rows of the directory: 1, or 0.
    employees: i64,
}

/// What an erasure did.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"records": 240, "changes": 3, "employees": 1, "accounts": 0}))]
#[expect(dead_code, reason = "describes an answer of the domain, which knows nothing of OpenAPI")]
pub struct ErasedPerson {
    /// Records.
    records: i64,
    /// Entries of the history.
    changes: i64,
    /// Rows of the directory: 1, or 0.
    employees: i64,
    /// Accounts that were linked to the employee, and are unlinked and disabled.
    accounts: i64,
}
