//! Conditional reads: an answer that the client already has is not sent again.
//!
//! Policy: entity tags are compared weakly, as RFC 9110 requires for `If-None-Match`. A client or proxy may store an answer
//! but must revalidate it before each use (`Cache-Control: no-cache`): otherwise it could serve a stale answer.

use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};

use super::response::{Body, Reply};
use crate::attendance::Answer;

/// The answer to a read: 304 if the client has it already, otherwise the body; both with the entity tag.
pub fn reply(headers: &HeaderMap, answer: &Answer) -> Reply {
    let content = &answer.content;
    let mut reply = if matches(headers, &content.etag) {
        Reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        Reply::json(StatusCode::OK, Body::full(content.body.clone()))
    };
    if let Ok(tag) = HeaderValue::from_maybe_shared(content.etag.clone()) {
        reply.headers.insert(ETAG, tag);
    }
    require_revalidation(&mut reply);
    reply.cache = Some(answer.cached);
    reply
}

/// Marks an answer that a cache must revalidate before each use.
pub fn require_revalidation(reply: &mut Reply) {
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

/// Whether `If-None-Match` contains the tag, which includes its quotes.
fn matches(headers: &HeaderMap, tag: &[u8]) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| lists(list, tag))
}

/// Whether the value of `If-None-Match` is `*` or lists the tag. A tag is hexadecimal, so it contains no comma.
fn lists(list: &str, tag: &[u8]) -> bool {
    list.split(',').map(str::trim).any(|entry| {
        let entry = entry.strip_prefix("W/").unwrap_or(entry);
        entry == "*" || entry.as_bytes() == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_matches_alone_in_a_list_as_a_weak_tag_and_by_a_star() {
        for list in ["*", "\"ab12\"", "W/\"ab12\"", "\"x\", \"ab12\"", "\"x,y\",W/\"ab12\" ,\"z\""] {
            assert!(lists(list, b"\"ab12\""), "{list}");
        }
        for list in ["", "ab12", "\"ab1\"", "\"AB12\"", "\"x\"", "W/ab12", "\"ab12"] {
            assert!(!lists(list, b"\"ab12\""), "{list}");
        }
    }
}
