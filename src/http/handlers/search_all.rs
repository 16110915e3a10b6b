//! Lists records.

use std::fmt::Display;
use std::time::Instant;

use bytes::Bytes;
use hyper::HeaderMap;

use crate::attendance::{ListQuery, NextPage, PreparedList, Visibility};
use crate::http::cached_read::CachedRead;
use crate::http::error::HttpError;
use crate::http::listing;
use crate::http::parameter_schema::{IfNoneMatch, ListParameters};
use crate::http::query;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::{ListsBusy, NotModified};
use crate::http::route_path::RoutePath;
use crate::http::schema::{ErrorBody, Record};
use crate::http::state::AppState;

/// A list whose query has been parsed.
#[derive(Debug)]
pub struct SearchAll {
    list: PreparedList,
    /// The path of the list, for links to its next page.
    path: RoutePath,
}

impl CachedRead for SearchAll {
    fn parse(app: &AppState, path: RoutePath, query: &str, visibility: Visibility) -> Result<Self, HttpError> {
        let query = ListQuery { visibility, ..query::search_all(query)? };
        Ok(Self { list: app.attendance.prepare_list(query), path })
    }

    fn try_cached(&self, app: &AppState, headers: &HeaderMap, now: Instant) -> Option<Reply> {
        let answer = app.attendance.try_list_cached(&self.list, now)?;
        Some(listing::page(headers, &answer, |next| self.link(next)))
    }

    async fn read(self, context: &RequestContext) -> Result<Reply, HttpError> {
        search_all(context, &self).await
    }
}

/// List records
///
/// All records, or those that match the filters, by employee (in the database's text order), then date. With `limit` the answer is
/// one page: follow the header `Link` with `rel="next"` until there is none. A large answer without `limit` is streamed, without an
/// entity tag. If too many lists are being read, a further one is refused within two seconds (503).
#[utoipa::path(
    get,
    path = "",
    operation_id = "listRecords",
    params(ListParameters, IfNoneMatch),
    responses(
        (status = 200, description = "The records; `[]` if there are none", body = Vec<Record>,
            headers(
                ("ETag" = String, description = "Entity tag of this answer in this content coding, unless it is streamed"),
            )),
        NotModified,
        (status = 400, description = "A parameter is not valid; `details` lists every problem", body = ErrorBody, example = json!({"error": "Bad Request", "message": "Some query parameters cannot be used: see details.", "details": [{"field": "limit", "problem": "`0` is not a number from 1 to 10000"}]})),
        ListsBusy,
    )
)]
async fn search_all(context: &RequestContext, read: &SearchAll) -> Result<Reply, HttpError> {
    let list = context.app.attendance.list(&read.list, &listing::client(context)).await?;
    Ok(listing::reply(&context.head.headers, list, |next| read.link(next)))
}

impl SearchAll {
    /// The link to the next page.
    fn link(&self, next: &NextPage) -> Bytes {
        let link = |path: &dyn Display, after: &str| -> Bytes {
            listing::next_link(path, &query::next_page(self.list.query(), after)).into()
        };
        // The form that is made once for all readers must be the same for all of them.
        match self.path.base_path {
            None => next.rendered(|after| link(&self.path.path, after)).clone(),
            Some(_) => link(&self.path, next.cursor()),
        }
    }
}
