//! Answers that several operations have, for the OpenAPI document.
//!
//! Policy: an answer that is the same for several operations is described here once, and named in `responses(…)` of each. What every operation can
//! answer is added by `openapi_response.rs`, and so are the headers of reads and pages.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};

use super::error::LISTS_BUSY;
use super::schema::{ErrorBody, Record};

/// The answer to a read whose `If-None-Match` has the current entity tag.
#[derive(Debug, IntoResponses)]
#[response(
    status = 304,
    description = "The client has the current answer",
    headers(("ETag" = String, description = "Entity tag of the current answer"))
)]
pub struct NotModified;

/// The answer to a correction.
#[derive(Debug, IntoResponses)]
#[response(
    status = 200,
    description = "Corrected: the record as it is now",
    headers(("ETag" = String, description = "Entity tag of the record as it is now"))
)]
#[expect(dead_code, reason = "describes an answer that the domain writes")]
pub struct CorrectedRecord(Record);

/// The answer to a read of a list that has no slot.
#[derive(Debug, IntoResponses)]
#[response(
    status = 503,
    description = "Too many lists are being read, the database cannot be used at the moment, or the server is stopping",
    headers(("Retry-After" = i32, description = "Seconds after which the request can be sent again")),
    example = json!({"error": "Service Unavailable", "message": LISTS_BUSY})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct ListsBusy(ErrorBody<'static>);

/// The answer if there is no record of an employee and day.
#[derive(Debug, IntoResponses)]
#[response(
    status = 404,
    description = "There is no such record",
    example = json!({"error": "Not Found", "message": "There is no such record."})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct NoSuchRecord(ErrorBody<'static>);

/// The answer to a correction if there is no record of the employee and day.
#[derive(Debug, IntoResponses)]
#[response(
    status = 404,
    description = "There is no such record: a correction never creates one",
    example = json!({"error": "Not Found", "message": "There is no such record."})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct NoRecordToCorrect(ErrorBody<'static>);

/// The answer if the directory does not have an employee.
#[derive(Debug, IntoResponses)]
#[response(
    status = 404,
    description = "The directory has no such employee",
    example = json!({"error": "Not Found", "message": "The directory has no such employee."})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct NoSuchEmployee(ErrorBody<'static>);

/// The answer if there is no account of a name.
#[derive(Debug, IntoResponses)]
#[response(
    status = 404,
    description = "There is no such account",
    example = json!({"error": "Not Found", "message": "There is no account `ada`."})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct NoSuchAccount(ErrorBody<'static>);

/// The answer to a password, right or wrong, after too many wrong ones.
#[derive(Debug, IntoResponses)]
#[response(
    status = 429,
    description = "Too many logins have failed",
    headers(("Retry-After" = i32, description = "Seconds after which the request can be sent again")),
    example = json!({"error": "Too Many Requests", "message": "Too many logins have failed; try again in 4 s."})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct TooManyFailures(ErrorBody<'static>);

/// The answer if the key in the path of a record is not valid.
#[derive(Debug, IntoResponses)]
#[response(
    status = 400,
    description = "The path or a parameter is not valid; `details` lists every problem",
    example = json!({"error": "Bad Request", "message": "The path cannot be used: see details.", "details": [{"field": "date", "problem": "`2026-02-30` is not a day: write YYYY-MM-DD, and a slash in an id as %2F"}]})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct InvalidRecordPath(ErrorBody<'static>);

/// The answer if the id in the path of an employee is not valid.
#[derive(Debug, IntoResponses)]
#[response(
    status = 400,
    description = "The id is not text, or there is a query",
    example = json!({"error": "Bad Request", "message": "Some query parameters cannot be used: see details.", "details": [{"field": "x", "problem": "is not a parameter: this resource has none"}]})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct InvalidEmployeePath(ErrorBody<'static>);

/// The answer if the query of a list or a view is not valid.
#[derive(Debug, IntoResponses)]
#[response(
    status = 400,
    description = "A parameter is missing, unknown or not valid; `details` lists every problem",
    example = json!({"error": "Bad Request", "message": "Some query parameters cannot be used: see details.", "details": [{"field": "limit", "problem": "`0` is not a number from 1 to 1000"}]})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct InvalidQuery(ErrorBody<'static>);

/// The answer if a correction or its key is not valid.
#[derive(Debug, IntoResponses)]
#[response(
    status = 400,
    description = "Not JSON, or not a valid correction, or a key that is not valid; `details` lists every problem",
    example = json!({"error": "Validation Error", "message": "The correction is not valid: see details.", "details": [{"field": "reason", "problem": "is required"}]})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct InvalidCorrection(ErrorBody<'static>);

/// The answer if a deletion has no valid reason or key.
#[derive(Debug, IntoResponses)]
#[response(
    status = 400,
    description = "There is no valid `reason`, or the key is not valid; `details` lists every problem",
    example = json!({"error": "Bad Request", "message": "Some query parameters cannot be used: see details.", "details": [{"field": "reason", "problem": "is required"}]})
)]
#[expect(dead_code, reason = "describes an error that `error.rs` writes")]
pub struct InvalidDeletion(ErrorBody<'static>);

/// The answers to a body that is not read, or not to its end.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "describes errors that `error.rs` writes")]
pub enum BodyErrors {
    /// The client is too slow.
    #[response(
        status = 408,
        description = "The body was not complete in time",
        example = json!({"error": "Request Timeout", "message": "The body was not complete after 30 s."})
    )]
    Timeout(ErrorBody<'static>),
    /// The body is larger than `server.max_body`.
    #[response(
        status = 413,
        description = "The body is too large",
        example = json!({"error": "Payload Too Large", "message": "The body is larger than 1048576 bytes, the most that is read."})
    )]
    TooLarge(ErrorBody<'static>),
    /// The body is not JSON.
    #[response(
        status = 415,
        description = "The content type is not `application/json` or `application/*+json`",
        example = json!({"error": "Unsupported Media Type", "message": "The body must be JSON and say so: send it with `Content-Type: application/json`."})
    )]
    UnsupportedMediaType(ErrorBody<'static>),
}

/// The answers to a change of a record that the state of the record or the server does not permit.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "describes errors that `error.rs` writes")]
pub enum RecordChangeErrors {
    /// The record has another entity tag.
    #[response(
        status = 412,
        description = "The record is not in the state that `If-Match` requires",
        headers(("ETag" = String, description = "Entity tag of the record as it is")),
        example = json!({"error": "Precondition Failed", "message": "The record has another entity tag than `If-Match` requires (a weak tag never matches). The header `ETag` has the current one: read the record, and decide again."})
    )]
    PreconditionFailed(ErrorBody<'static>),
    /// The day is closed.
    #[response(
        status = 423,
        description = "The day is closed to changes (`attendance.locked_before`)",
        example = json!({"error": "Locked", "message": "Records before 2026-01-01 are closed to changes (attendance.locked_before)."})
    )]
    Locked(ErrorBody<'static>),
}

/// The answers to a read of a list or a view, other than the list or the view.
#[derive(Debug)]
pub struct ViewAnswers;

impl IntoResponses for ViewAnswers {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        union([NotModified::responses(), InvalidQuery::responses(), ListsBusy::responses()])
    }
}

/// The answers to a correction.
#[derive(Debug)]
pub struct CorrectionAnswers;

impl IntoResponses for CorrectionAnswers {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        union([
            CorrectedRecord::responses(),
            InvalidCorrection::responses(),
            NoRecordToCorrect::responses(),
            BodyErrors::responses(),
            RecordChangeErrors::responses(),
        ])
    }
}

/// The answer to a deletion.
#[derive(Debug, IntoResponses)]
#[response(status = 204, description = "Deleted")]
pub struct DeletedRecord;

/// The answers to a deletion.
#[derive(Debug)]
pub struct DeletionAnswers;

impl IntoResponses for DeletionAnswers {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        union([
            DeletedRecord::responses(),
            InvalidDeletion::responses(),
            NoSuchRecord::responses(),
            RecordChangeErrors::responses(),
        ])
    }
}

fn union<const N: usize>(answers: [BTreeMap<String, RefOr<Response>>; N]) -> BTreeMap<String, RefOr<Response>> {
    answers.into_iter().flatten().collect()
}
