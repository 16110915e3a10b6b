//! Answers that are pages or lists: the link to the next page, and streams.

use std::fmt::Display;

use bytes::Bytes;
use hyper::header::{HeaderValue, LINK};
use hyper::{HeaderMap, StatusCode};

use super::compression;
use super::conditional;
use super::request::RequestContext;
use super::response::{Body, Reply};
use crate::attendance::{Answer, ListClient, Listing, NextPage};

/// The client of a list, for whom slots and memory are counted.
pub fn client(context: &RequestContext) -> ListClient {
    let address = context.client.address;
    ListClient { is_exempt: context.app.is_exempt(address), ..ListClient::new(address, context.started) }
}

/// The header `Link` of a page, which leads to the page at `path` with `query`.
pub fn next_link(path: &dyn Display, query: &str) -> String {
    format!("<{path}?{query}>; rel=\"next\"")
}

/// The answer with a list, and with what `link` makes of the next page if there is one.
pub fn reply(headers: &HeaderMap, listing: Listing, link: impl FnOnce(&NextPage) -> Bytes) -> Reply {
    match listing {
        Listing::Complete(answer) => page(headers, &answer, link),
        Listing::Stream(rows) => {
            let mut reply = Reply::json(StatusCode::OK, Body::rows(rows));
            compression::compress_stream(headers, &mut reply);
            conditional::require_revalidation(&mut reply);
            reply
        }
    }
}

/// The answer with a complete list, as [`reply`] makes it.
pub fn page(headers: &HeaderMap, answer: &Answer, link: impl FnOnce(&NextPage) -> Bytes) -> Reply {
    let mut reply = conditional::reply(headers, answer);
    // A percent-encoded query always fits a header.
    if let Some(next) = &answer.content.next
        && let Ok(link) = HeaderValue::from_maybe_shared(link(next))
    {
        reply.headers.insert(LINK, link);
    }
    reply
}
