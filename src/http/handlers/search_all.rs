//! Lists records.

use std::time::Instant;

use hyper::header::{HeaderValue, LINK};
use hyper::{HeaderMap, StatusCode};

use crate::attendance::{Answer, Listing, PreparedList};
use crate::http::cached_read::CachedRead;
use crate::http::conditional;
use crate::http::error::HttpError;
use crate::http::query;
use crate::http::request::RequestContext;
use crate::http::request_metrics::RouteLabel;
use crate::http::response::{Body, Reply};
use crate::http::schema::{ErrorBody, ListParameters, Record};
use crate::http::state::AppState;

/// A list whose query has been parsed.
#[derive(Debug)]
pub struct SearchAll {
    list: PreparedList,
    /// The path of the list, for links to its next page.
    path: &'static str,
}

impl CachedRead for SearchAll {
    fn parse(app: &AppState, route: RouteLabel, query: &str) -> Result<Self, HttpError> {
        Ok(Self { list: app.attendance.prepare_list(query::search_all(query)?), path: route.path() })
    }

    fn try_cached(&self, app: &AppState, headers: &HeaderMap, now: Instant) -> Option<Reply> {
        let answer = app.attendance.try_list_cached(&self.list, now)?;
        Some(self.reply(headers, &answer))
    }

    async fn read(self, context: &RequestContext) -> Result<Reply, HttpError> {
        search_all(context, &self).await
    }
}

/// List records
///
/// All records, or those that match the filters, by employee (in the database's text order), then date. With `limit` the answer is
/// one page: follow the header `Link` with `rel="next"` until there is none. A large answer without `limit` is streamed, without an
/// entity tag.
#[utoipa::path(
    get,
    path = "",
    operation_id = "listRecords",
    params(ListParameters, ("If-None-Match" = Option<String>, Header, description = "Entity tags that the client has; the answer is 304 if one of them is current")),
    responses(
        (status = 200, description = "The records; `[]` if there are none", body = Vec<Record>,
            headers(
                ("ETag" = String, description = "Entity tag of this answer, unless it is streamed"),
                ("Cache-Control" = String, description = "`no-cache`"),
                ("Link" = String, description = "`<URL>; rel=\"next\"`: the next page, relative to this server; absent on the last page"),
            )),
        (status = 304, description = "The client has the current answer",
            headers(("ETag" = String, description = "Entity tag of the current answer"))),
        (status = 400, description = "A parameter is not valid; `details` lists every problem", body = ErrorBody, example = json!({"error": "Bad Request", "message": "Some query parameters cannot be used: see details.", "details": [{"field": "limit", "problem": "`0` is not a number from 1 to 10000"}]})),
    )
)]
async fn search_all(context: &RequestContext, read: &SearchAll) -> Result<Reply, HttpError> {
    match context.app.attendance.list(&read.list).await? {
        Listing::Complete(answer) => Ok(read.reply(&context.head.headers, &answer)),
        Listing::Stream(rows) => {
            let mut reply = Reply::json(StatusCode::OK, Body::rows(rows));
            conditional::require_revalidation(&mut reply);
            Ok(reply)
        }
    }
}

impl SearchAll {
    /// The answer, with a link to the next page if there is one.
    fn reply(&self, headers: &HeaderMap, answer: &Answer) -> Reply {
        let mut reply = conditional::reply(headers, answer);
        if let Some(next) = &answer.content.next {
            let render = |after: &str| {
                format!("<{}?{}>; rel=\"next\"", self.path, query::next_page(self.list.query(), after)).into()
            };
            // A percent-encoded query always fits a header.
            if let Ok(link) = HeaderValue::from_maybe_shared(next.rendered(render).clone()) {
                reply.headers.insert(LINK, link);
            }
        }
        reply
    }
}
