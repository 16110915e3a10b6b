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
        (status = 400, description = "Not JSON, or not a valid record; `details` lists every problem", body = ErrorBody),
        (status = 408, description = "The body was not complete in time", body = ErrorBody),
        (status = 409, description = "The employee already has a record of that day", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 415, description = "The content type is not `application/json` or `application/*+json`", body = ErrorBody),
    )
)]
pub async fn create(context: &mut RequestContext) -> Result<Reply, HttpError> {
    let record = context.record().await?;
    context.app.attendance.create(&record).await?;
    let message = format!("Successfully created the record for the employee id: ${}", record.id);
    Ok(Reply::uncacheable(StatusCode::OK, &Message { message: &message }))
}
