//! `GET /livez` and `/readyz`, for orchestrators
//!
//! Policy: alive is who can answer; a restart mends nothing else, so no dependency counts. Ready is who should be
//! sent requests: PostgreSQL is usable and the server is not stopping.

use hyper::StatusCode;

use crate::http::error::{ErrorBody, HttpError};
use crate::http::request::RequestContext;
use crate::http::response::{Message, Reply};

/// Whether the process lives
#[utoipa::path(
    get,
    path = "/livez",
    tag = "health",
    operation_id = "livez",
    responses((status = 200, description = "It does", body = Message, example = json!({"message": "alive"})))
)]
pub fn livez() -> Reply {
    Reply::value(StatusCode::OK, &Message { message: "alive" })
}

/// Whether requests should be sent here
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    operation_id = "readyz",
    responses(
        (status = 200, description = "They should", body = Message, example = json!({"message": "ready"})),
        (status = 503, description = "PostgreSQL is not usable, or the server is stopping", body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds until it is worth trying again"))),
    )
)]
pub async fn readyz(context: &RequestContext) -> Result<Reply, HttpError> {
    if context.app.is_draining() {
        return Err(HttpError::draining());
    }
    if !context.app.health.postgresql.is_up().await {
        return Err(HttpError::unavailable(
            "Not ready: PostgreSQL cannot be used. /api/v1/attendance/health/detail says why.",
        ));
    }
    Ok(Reply::value(StatusCode::OK, &Message { message: "ready" }))
}
