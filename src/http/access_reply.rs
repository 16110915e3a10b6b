//! Answers about accounts, sessions and tokens, and what their requests have in common.

use hyper::StatusCode;
use hyper::header::{HeaderValue, LINK, LOCATION};
use serde::Serialize;

use super::error::HttpError;
use super::listing;
use super::query_parameters::QueryParameters;
use super::request::RequestContext;
use super::response::Reply;
use crate::access::Role;
use crate::attendance::json;

/// A value as JSON, which no cache keeps.
pub fn value<T: Serialize>(context: &RequestContext, status: StatusCode, value: &T) -> Reply {
    Reply::uncacheable_json(status, json::line(value, context.app.charset()).into())
}

/// The answer to a POST (201): what was made, and in `Location` its path, which is `name` below the path of the request.
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
    let link = next.map(|next| listing::next_link(&context.head.uri.path(), &parameters.next_page(next)));
    if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
        reply.headers.insert(LINK, link);
    }
    reply
}

/// The role that a word of a body names.
///
/// # Errors
/// A 400 that lists the roles, if there is no such role.
pub fn role(word: &str) -> Result<Role, HttpError> {
    Role::parse(word).ok_or_else(|| {
        let words = Role::ALL.map(Role::as_str).join(", ");
        HttpError::invalid_field("role", &format_args!("must be one of {words}"))
    })
}
