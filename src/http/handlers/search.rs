//! Finds one employee's record.

use std::time::Instant;

use hyper::HeaderMap;

use crate::attendance::PreparedFind;
use crate::http::cached_read::CachedRead;
use crate::http::conditional;
use crate::http::error::{ErrorStatus, HttpError};
use crate::http::query::{self, SearchQuery};
use crate::http::request::RequestContext;
use crate::http::request_metrics::RouteLabel;
use crate::http::response::Reply;
use crate::http::schema::{ErrorBody, Record, SearchParameters};
use crate::http::state::AppState;

/// A search whose query has been parsed.
#[derive(Debug)]
pub struct Search(PreparedFind);

impl CachedRead for Search {
    fn parse(app: &AppState, _: RouteLabel, query: &str) -> Result<Self, HttpError> {
        let SearchQuery { id, date } = query::search(query)?;
        Ok(Self(app.attendance.prepare_find(id, date)))
    }

    fn try_cached(&self, app: &AppState, headers: &HeaderMap, now: Instant) -> Option<Reply> {
        let answer = app.attendance.try_find_cached(&self.0, now)?;
        Some(conditional::reply(headers, &answer))
    }

    async fn read(self, context: &RequestContext) -> Result<Reply, HttpError> {
        search(context, &self.0).await
    }
}

/// Find one employee's record
///
/// The employee's latest record by date or, with `date`, the record of that day.
#[utoipa::path(
    get,
    path = "",
    operation_id = "searchRecord",
    params(SearchParameters, ("If-None-Match" = Option<String>, Header, description = "Entity tags that the client has; the answer is 304 if one of them is current")),
    responses(
        (status = 200, description = "The record", body = Record,
            headers(("ETag" = String, description = "Entity tag of this answer"), ("Cache-Control" = String, description = "`no-cache`"))),
        (status = 304, description = "The client has the current answer",
            headers(("ETag" = String, description = "Entity tag of the current answer"))),
        (status = 400, description = "There is no valid `id`, or `date` is not a date", body = ErrorBody, example = json!({"error": "Bad Request", "message": "Unable to process request, please check query params ", "details": [{"field": "id", "problem": "is required"}]})),
        (status = 404, description = "There is no such record", body = ErrorBody, example = json!({"error": "Not Found", "message": "There is no such record."})),
    )
)]
async fn search(context: &RequestContext, find: &PreparedFind) -> Result<Reply, HttpError> {
    match context.app.attendance.find(find).await? {
        Some(answer) => Ok(conditional::reply(&context.head.headers, &answer)),
        None => Err(HttpError::new(ErrorStatus::NOT_FOUND, "There is no such record.")),
    }
}
