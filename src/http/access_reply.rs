//! Answers about accounts, sessions and tokens, and what their requests have in common.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue, LINK, LOCATION};
use serde::Serialize;

use super::error::HttpError;
use super::query_parameters::QueryParameters;
use super::request::RequestContext;
use super::response::Reply;
use crate::access::Role;
use crate::attendance::json;

/// A value as JSON, which no cache keeps.
pub fn value<T: Serialize>(context: &RequestContext, status: StatusCode, value: &T) -> Reply {
    Reply::uncacheable_json(status, json::line(value, context.app.charset()).into())
}

/// Nothing (204).
pub fn nothing() -> Reply {
    let mut reply = Reply::empty(StatusCode::NO_CONTENT);
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// What was made (201), at this name below the path of the request.
pub fn created<T: Serialize>(context: &RequestContext, name: &str, made: &T) -> Reply {
    let mut reply = value(context, StatusCode::CREATED, made);
    if let Ok(location) = HeaderValue::try_from(format!("{}/{name}", context.head.uri.path())) {
        reply.headers.insert(LOCATION, location);
    }
    reply
}

/// A page of a list, and the link to the next one.
pub fn page<T: Serialize>(
    context: &RequestContext,
    items: &[T],
    parameters: &QueryParameters,
    next: Option<&str>,
) -> Reply {
    let mut reply = value(context, StatusCode::OK, &items);
    let link = next.map(|next| format!("<{}?{}>; rel=\"next\"", context.head.uri.path(), parameters.next_page(next)));
    if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
        reply.headers.insert(LINK, link);
    }
    reply
}

/// The role that a word of a body stands for.
///
/// # Errors
/// When it is none.
pub fn role(word: &str) -> Result<Role, HttpError> {
    Role::parse(word).ok_or_else(|| {
        let words = Role::ALL.map(Role::as_str).join(", ");
        HttpError::invalid_field("role", &format_args!("must be one of {words}"))
    })
}
