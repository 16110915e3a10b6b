//! `GET /api/v1/attendance/search`

use std::time::Instant;

use hyper::HeaderMap;

use crate::attendance::{Attendance, PreparedFind};
use crate::http::App;
use crate::http::conditional;
use crate::http::error::{ErrorBody, ErrorStatus, Failure};
use crate::http::openapi::Record;
use crate::http::query::{self, Search};
use crate::http::request::Call;
use crate::http::response::Reply;

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
pub async fn search(call: &mut Call) -> Result<Reply, Failure> {
    let find = parse(&call.app.attendance, call.query())?;
    match call.app.attendance.find(&find).await? {
        Some(answer) => Ok(conditional::reply(&call.head.headers, &answer)),
        None => Err(Failure::new(ErrorStatus::NOT_FOUND, "There is no such record.")),
    }
}

/// The same for a request that need not wait for its answer.
pub fn at_once(app: &App, query: &str, headers: &HeaderMap, now: Instant) -> Option<Reply> {
    let attendance = app.attendance.as_ref();
    if !attendance.has_memory_cache() {
        return None;
    }
    let answer = attendance.try_find_cached(&parse(attendance, query).ok()?, now)?;
    Some(conditional::reply(headers, &answer))
}

fn parse(attendance: &Attendance, query: &str) -> Result<PreparedFind, Failure> {
    let Search { id, date } = query::search(query)?;
    Ok(attendance.prepare_find(id, date))
}
