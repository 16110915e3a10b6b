//! Stores one record.

use std::sync::Arc;

use hyper::StatusCode;

use crate::attendance::json;
use crate::http::error::HttpError;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::BodyErrors;
use crate::http::schema::{ErrorBody, Message, NewRecord};

/// Record an employee's attendance
///
/// Stores one record of one employee and day. When the answer arrives, the record is durable, and every read that starts
/// afterwards sees it. There is one record per employee and day: a second one is refused. A server with `api.lenient_create` also takes a
/// number as its text, and a record without a name.
#[utoipa::path(
    post,
    path = "",
    operation_id = "createRecord",
    request_body(content = NewRecord, description = "The record. Every field is required, and no other field is accepted"),
    responses(
        (status = 200, description = "Stored", body = Message,
            example = json!({"message": "Successfully created the record for the employee id: $1"})),
        (status = 400, description = "Not JSON, or not a valid record; `details` lists every problem", body = ErrorBody, example = json!({"error": "Validation Error", "message": "The record is not valid: see details.", "details": [{"field": "date", "problem": "is required"}]})),
        BodyErrors,
        (status = 409, description = "The employee already has a record of that day", body = ErrorBody, example = json!({"error": "Conflict", "message": "This employee already has a record of that day. A record cannot be replaced."})),
    )
)]
pub async fn create(context: &mut RequestContext) -> Result<Reply, HttpError> {
    let record = Arc::new(context.record().await?);
    context.app.attendance.create(&record, context.actor()).await?;
    let message = format!("Successfully created the record for the employee id: ${}", record.id);
    let body = json::line(&Message { message: &message }, context.app.charset());
    Ok(Reply::uncacheable_json(StatusCode::OK, body.into()))
}
