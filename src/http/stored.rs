//! The answer to a PUT.

use hyper::StatusCode;
use hyper::header::{ETAG, HeaderValue};

use super::response::Reply;
use crate::attendance::Stored;

/// What was stored: 201 if there was nothing before, otherwise 200, with the entity tag that a read has.
pub fn reply(stored: &Stored) -> Reply {
    let status = if stored.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut reply = Reply::uncacheable_json(status, stored.content.body.clone());
    if let Ok(tag) = HeaderValue::from_maybe_shared(stored.content.etag.clone()) {
        reply.headers.insert(ETAG, tag);
    }
    reply
}
