//! `POST /api/v1/attendance/create`

use hyper::StatusCode;

use crate::http::error::{ErrorBody, HttpError};
use crate::http::openapi::NewRecord;
use crate::http::request::RequestContext;
use crate::http::response::{Message, Reply};

/// Record an employee's attendance
///
/// Stores one record of one employee and day. When it is acknowledged it is durable, and every read that starts
/// afterwards sees it. There is one record per employee and day: another one is refused.
#[utoipa::path(
    post,
    path = "/api/v1/attendance/create",
    tag = "attendance",
    operation_id = "createRecord",
    request_body(content = NewRecord, description = "The record; no field may be missing and no other be there"),
    responses(
        (status = 200, description = "Stored", body = Message,
            example = json!({"message": "Successfully created the record for the employee id: $1"})),
        (status = 400, description = "Not JSON, or not a valid record; `details` says everything that is wrong", body = ErrorBody),
        (status = 408, description = "The body did not come to its end in time", body = ErrorBody),
        (status = 409, description = "The employee already has a record of that day", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 415, description = "The content type is not `application/json` or `application/*+json`", body = ErrorBody),
    )
)]
pub async fn create(context: &mut RequestContext) -> Result<Reply, HttpError> {
    let record = context.record().await?;
    context.app.attendance.create(&record).await?;
    let message = format!("Successfully created the record for the employee id: ${}", record.id);
    Ok(Reply::value(StatusCode::OK, &Message { message: &message }))
}
