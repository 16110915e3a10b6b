//! Stores one record.

use hyper::StatusCode;

use crate::http::error::HttpError;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::schema::{ErrorBody, Message, NewRecord};

/// Record an employee's attendance
///
/// Stores one record of one employee and day. When the answer arrives, the record is durable, and every read that starts
/// afterwards sees it. There is one record per employee and day: a second one is refused.
#[utoipa::path(
    post,
    path = "",
    operation_id = "createRecord",
    request_body(content = NewRecord, description = "The record. Every field is required, and no other field is accepted"),
    responses(
        (status = 200, description = "Stored", body = Message,
            example = json!({"message": "Successfully created the record for the employee id: $1"})),
        (status = 400, description = "Not JSON, or not a valid record; `details` lists every problem", body = ErrorBody, example = json!({"error": "Validation Error", "message": "The record is not valid: see details.", "details": [{"field": "date", "problem": "is required"}]})),
        (status = 408, description = "The body was not complete in time", body = ErrorBody, example = json!({"error": "Request Timeout", "message": "The body was not complete after 30 s."})),
        (status = 409, description = "The employee already has a record of that day", body = ErrorBody, example = json!({"error": "Conflict", "message": "This employee already has a record of that day. A record cannot be replaced."})),
        (status = 413, description = "The body is too large", body = ErrorBody, example = json!({"error": "Payload Too Large", "message": "The body is larger than 1048576 bytes, the most that is read."})),
        (status = 415, description = "The content type is not `application/json` or `application/*+json`", body = ErrorBody, example = json!({"error": "Unsupported Media Type", "message": "The body must be JSON and say so: send it with `Content-Type: application/json`."})),
    )
)]
pub async fn create(context: &mut RequestContext) -> Result<Reply, HttpError> {
    let record = context.record().await?;
    context.app.attendance.create(&record).await?;
    let message = format!("Successfully created the record for the employee id: ${}", record.id);
    Ok(Reply::uncacheable(StatusCode::OK, &Message { message: &message }))
}
