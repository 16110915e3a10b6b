//! `GET /api/v1/attendance/search/all`

use std::time::Instant;

use hyper::header::{HeaderValue, LINK};
use hyper::{HeaderMap, StatusCode};

use crate::attendance::{Answer, Listing, PreparedList};
use crate::http::error::{ErrorBody, HttpError};
use crate::http::openapi::Record;
use crate::http::query::{self, SearchAll};
use crate::http::request::RequestContext;
use crate::http::response::{Body, Reply};
use crate::http::state::AppState;
use crate::http::{conditional, openapi};

/// List records
///
/// All records, or those the filters leave, by employee (in the database's text order), then date. With `limit` they come in pages:
/// follow the header `Link` with `rel="next"` until there is none. A large unpaged answer is streamed, without an entity tag.
#[utoipa::path(
    get,
    path = "/api/v1/attendance/search/all",
    tag = "attendance",
    operation_id = "listRecords",
    params(SearchAll, ("If-None-Match" = Option<String>, Header, description = "Entity tags the client has; answered with 304 if one is current")),
    responses(
        (status = 200, description = "The records; `[]` when there are none", body = Vec<Record>,
            headers(
                ("ETag" = String, description = "Entity tag of this answer, where it was not streamed"),
                ("Cache-Control" = String, description = "`no-cache`"),
                ("Link" = String, description = "`<URL>; rel=\"next\"`: the next page, relative to this server; absent on the last one"),
            )),
        (status = 304, description = "The client has the current answer",
            headers(("ETag" = String, description = "Entity tag of the current answer"))),
        (status = 400, description = "A parameter cannot be used; `details` says which", body = ErrorBody),
    )
)]
pub async fn search_all(context: &mut RequestContext) -> Result<Reply, HttpError> {
    let list = context.app.attendance.prepare_list(query::search_all(context.query())?);
    match context.app.attendance.list(&list).await? {
        Listing::Complete(answer) => Ok(whole(&context.head.headers, &list, &answer)),
        Listing::Stream(rows) => {
            let mut reply = Reply::json(StatusCode::OK, Body::rows(rows));
            conditional::revalidated(&mut reply);
            Ok(reply)
        }
    }
}

/// The same for a request that need not wait for its answer.
pub fn try_cached(app: &AppState, query: &str, headers: &HeaderMap, now: Instant) -> Option<Reply> {
    let attendance = app.attendance.as_ref();
    if !attendance.has_memory_cache() {
        return None;
    }
    let list = attendance.prepare_list(query::search_all(query).ok()?);
    let answer = attendance.try_list_cached(&list, now)?;
    Some(whole(headers, &list, &answer))
}

fn whole(headers: &HeaderMap, list: &PreparedList, answer: &Answer) -> Reply {
    let mut reply = conditional::reply(headers, answer);
    if let Some(next) = &answer.content.next {
        let render = |after: &str| {
            format!("<{}?{}>; rel=\"next\"", openapi::SEARCH_ALL, query::next_page(list.query(), after)).into()
        };
        // A percent-encoded query always fits a header.
        if let Ok(link) = HeaderValue::from_maybe_shared(next.rendered(render).clone()) {
            reply.headers.insert(LINK, link);
        }
    }
    reply
}
