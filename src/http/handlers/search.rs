//! Finds one employee's record.

use std::time::Instant;

use hyper::HeaderMap;

use crate::attendance::{PreparedFind, Visibility};
use crate::http::cached_read::CachedRead;
use crate::http::conditional;
use crate::http::error::{ErrorStatus, HttpError};
use crate::http::parameter_schema::{IfNoneMatch, SearchParameters};
use crate::http::query::{self, SearchQuery};
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::{NoSuchRecord, NotModified};
use crate::http::route_path::RoutePath;
use crate::http::schema::{ErrorBody, Record};
use crate::http::state::AppState;

/// A search whose query has been parsed.
#[derive(Debug)]
pub struct Search(PreparedFind);

impl CachedRead for Search {
    fn parse(app: &AppState, _: RoutePath, query: &str, visibility: Visibility) -> Result<Self, HttpError> {
        let SearchQuery { id, date } = query::search(query)?;
        Ok(Self(app.attendance.prepare_find(id, date, visibility)))
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
    params(SearchParameters, IfNoneMatch),
    responses(
        (status = 200, description = "The record", body = Record),
        NotModified,
        (status = 400, description = "There is no valid `id`, or `date` is not a date", body = ErrorBody, example = json!({"error": "Bad Request", "message": "Unable to process request, please check query params ", "details": [{"field": "id", "problem": "is required"}]})),
        NoSuchRecord,
    )
)]
async fn search(context: &RequestContext, find: &PreparedFind) -> Result<Reply, HttpError> {
    match context.app.attendance.find(find).await? {
        Some(answer) => Ok(conditional::reply(&context.head.headers, &answer)),
        None => Err(HttpError::new(ErrorStatus::NOT_FOUND, "There is no such record.")),
    }
}
