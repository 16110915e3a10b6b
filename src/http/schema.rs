//! The wire types: what is sent as JSON and what the OpenAPI document says about it.
//!
//! Policy: every JSON object that a client sends or receives is described here, and [`Schemas`] lists them for the document.
//! The domain writes records and reads creates itself, without knowing of OpenAPI; those types are described here only.

use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::attendance::{Health, Problem};

/// The schemas of the OpenAPI document.
#[derive(OpenApi)]
#[openapi(components(schemas(NewRecord, Record, Message, ErrorBody, FieldProblem, HealthDetail)))]
pub struct Schemas;

/// One employee's status on one day, to be stored.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"id": "1", "name": "Asha", "status": "Present", "date": "2026-01-31"}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the domain's create request, which knows nothing of OpenAPI")]
pub struct NewRecord {
    /// Employee. No control characters; no white space at the beginning or the end.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = "^[^\\s\\u0000-\\u001f\\u007f-\\u009f]([^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f])?$",
        example = "1"
    )]
    id: String,
    /// Name. No control characters; no white space at the beginning or the end.
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = "^[^\\s\\u0000-\\u001f\\u007f-\\u009f]([^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f])?$",
        example = "Asha"
    )]
    name: String,
    /// Status. No control characters; no white space at the beginning or the end.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[^\\s\\u0000-\\u001f\\u007f-\\u009f]([^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f])?$",
        example = "Present"
    )]
    status: String,
    /// Day, from year 0001 to year 9999: `YYYY-MM-DD`. For older clients, more forms than this schema describes are accepted: an ISO
    /// 8601 time may follow and is ignored, and there are `YYYYMMDD`, `YYYY/MM/DD` and `Tue, 01 Aug 2023 00:00:00 GMT`.
    #[schema(format = Date, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", example = "2026-01-31")]
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

/// The query parameters of `search`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which `query.rs` reads without OpenAPI")]
pub struct SearchParameters {
    /// Employee. If there are several, the first one counts.
    #[param(min_length = 1, pattern = "^[^\\u0000]*$", example = "1")]
    id: String,
    /// Day; without it, the answer is the employee's latest record. All forms of a record's date are accepted. Empty counts as absent.
    #[param(format = Date, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    date: Option<String>,
}

/// The query parameters of `search/all`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which `query.rs` reads without OpenAPI")]
pub struct ListParameters {
    /// Only this employee's records (exact match; empty counts as absent).
    #[param(pattern = "^[^\\u0000]*$")]
    id: Option<String>,
    /// Only records with this status (exact match; empty counts as absent).
    #[param(pattern = "^[^\\u0000]*$")]
    status: Option<String>,
    /// Only records with this name (exact match; empty counts as absent).
    #[param(pattern = "^[^\\u0000]*$")]
    name: Option<String>,
    /// Not before this day. Empty counts as absent.
    #[param(format = Date, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    from: Option<String>,
    /// Not after this day. Empty counts as absent.
    #[param(format = Date, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    to: Option<String>,
    /// At most this many records. If there are more, the header `Link` leads to the next page. Empty counts as absent.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
    /// The cursor of the previous page, from its `Link` header. Any other text is refused. Empty counts as absent.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    after: Option<String>,
}

/// The state of the service and of its dependencies.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthDetail {
    /// The sentence of `/health`.
    pub message: &'static str,
    /// `up` or `down`.
    #[schema(example = "up")]
    pub postgresql: &'static str,
    /// `up`, `down` or, if no cache is configured, `off`.
    #[schema(example = "up")]
    pub redis: &'static str,
    /// `up` or `down`: the state of PostgreSQL.
    #[schema(example = "up")]
    pub status: &'static str,
    /// Version of the appliance.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// Seconds since the appliance started.
    pub uptime_seconds: u64,
    /// The state of each dependency.
    pub details: Details,
}

/// The state of each dependency.
#[derive(Debug, Serialize, ToSchema)]
pub struct Details {
    /// The database.
    pub postgresql: DependencyDetail,
    /// Absent if no cache is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub redis: Option<DependencyDetail>,
}

/// The state of one dependency.
#[derive(Debug, Serialize, ToSchema)]
pub struct DependencyDetail {
    /// Whether the appliance runs it.
    managed: bool,
    /// When it entered this state (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T08:30:00.123456Z")]
    since: String,
    /// How long the last check took, in milliseconds; a check takes at most 1000.
    #[schema(example = 0.412)]
    latency_ms: f64,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

impl DependencyDetail {
    /// Describes the result of the last check.
    pub fn new(managed: bool, health: Health) -> Self {
        Self {
            managed,
            since: format!("{:.6}", health.since),
            latency_ms: (health.latency.as_secs_f64() * 1e6).round() / 1e3,
            reason: health.reason,
        }
    }
}
