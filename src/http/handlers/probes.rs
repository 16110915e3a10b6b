//! Liveness and readiness, for orchestrators.
//!
//! Policy: a process that can answer is alive. No dependency counts, because a restart of this process repairs none. A process
//! is ready if requests should be sent to it: PostgreSQL is usable and the server is not stopping.

use hyper::StatusCode;

use crate::http::error::HttpError;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::schema::{ErrorBody, Message};

/// The message of a process that is not ready.
pub const NOT_READY: &str = "Not ready: PostgreSQL cannot be used. /api/v1/attendance/health/detail says why.";

/// Whether the process is alive
///
/// A process that can answer is alive. No dependency counts, because a restart of this process repairs none.
#[utoipa::path(
    get,
    path = "",
    operation_id = "livez",
    responses((status = 200, description = "The process is alive", body = Message, example = json!({"message": "alive"})))
)]
pub fn livez(_: &RequestContext) -> Result<Reply, HttpError> {
    Ok(Reply::uncacheable(StatusCode::OK, &Message { message: "alive" }))
}

/// Whether requests should be sent to this process
///
/// A process is ready if PostgreSQL is usable and the server is not stopping.
#[utoipa::path(
    get,
    path = "",
    operation_id = "readyz",
    responses(
        (status = 200, description = "The process is ready", body = Message, example = json!({"message": "ready"})),
        (status = 503, description = "PostgreSQL is not usable, or the server is stopping", body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds after which the request can be sent again")),
            example = json!({"error": "Service Unavailable", "message": "Not ready: PostgreSQL cannot be used. /api/v1/attendance/health/detail says why."})),
    )
)]
pub async fn readyz(context: &RequestContext) -> Result<Reply, HttpError> {
    if context.app.is_draining() {
        return Err(HttpError::draining());
    }
    if !context.app.health.postgresql.is_up().await {
        return Err(HttpError::unavailable(NOT_READY));
    }
    Ok(Reply::uncacheable(StatusCode::OK, &Message { message: "ready" }))
}
