//! `GET /api/v1/attendance/search`

use std::time::Instant;

use hyper::HeaderMap;

use crate::attendance::{Attendance, PreparedFind};
use crate::http::conditional;
use crate::http::error::{ErrorBody, ErrorStatus, HttpError};
use crate::http::openapi::Record;
use crate::http::query::{self, Search};
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::state::AppState;

/// Find one employee's record
///
/// The employee's latest record by date or, with `date`, the record of that day.
#[utoipa::path(
    get,
    path = "/api/v1/attendance/search",
    tag = "attendance",
    operation_id = "searchRecord",
    params(Search, ("If-None-Match" = Option<String>, Header, description = "Entity tags the client has; answered with 304 if one is current")),
    responses(
        (status = 200, description = "The record", body = Record,
            headers(("ETag" = String, description = "Entity tag of this answer"), ("Cache-Control" = String, description = "`no-cache`"))),
        (status = 304, description = "The client has the current answer",
            headers(("ETag" = String, description = "Entity tag of the current answer"))),
        (status = 400, description = "No usable `id`, or a `date` that is none", body = ErrorBody),
        (status = 404, description = "There is no such record", body = ErrorBody),
    )
)]
pub async fn search(context: &mut RequestContext) -> Result<Reply, HttpError> {
    let find = parse(&context.app.attendance, context.query())?;
    match context.app.attendance.find(&find).await? {
        Some(answer) => Ok(conditional::reply(&context.head.headers, &answer)),
        None => Err(HttpError::new(ErrorStatus::NOT_FOUND, "There is no such record.")),
    }
}

/// The same for a request that need not wait for its answer.
pub fn try_cached(app: &AppState, query: &str, headers: &HeaderMap, now: Instant) -> Option<Reply> {
    let attendance = app.attendance.as_ref();
    if !attendance.has_memory_cache() {
        return None;
    }
    let answer = attendance.try_find_cached(&parse(attendance, query).ok()?, now)?;
    Some(conditional::reply(headers, &answer))
}

fn parse(attendance: &Attendance, query: &str) -> Result<PreparedFind, HttpError> {
    let Search { id, date } = query::search(query)?;
    Ok(attendance.prepare_find(id, date))
}
