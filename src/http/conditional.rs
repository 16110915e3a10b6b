//! Conditional reads: an answer the client already has is not sent again.
//!
//! Policy: entity tags are compared weakly, as RFC 9110 asks for `If-None-Match`. A client or proxy may keep an answer
//! but must ask before it uses it (`Cache-Control: no-cache`): that keeps the freshness promise.

use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};

use super::response::{Body, Reply};
use crate::attendance::Answer;

/// The answer to a read: 304 when the client has it already, else the body; both with its tag.
pub fn reply(headers: &HeaderMap, answer: &Answer) -> Reply {
    let content = &answer.content;
    let mut reply = if has(headers, &content.etag) {
        Reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        Reply::json(StatusCode::OK, Body::full(content.body.clone()))
    };
    if let Ok(tag) = HeaderValue::from_maybe_shared(content.etag.clone()) {
        reply.headers.insert(ETAG, tag);
    }
    revalidated(&mut reply);
    reply.cached = Some(answer.cached);
    reply
}

/// Marks an answer that must not be used again without asking.
pub fn revalidated(reply: &mut Reply) {
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

/// Whether the client says that it has what `tag` (with its quotes) stands for.
fn has(headers: &HeaderMap, tag: &[u8]) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| lists(list, tag))
}

/// Whether an `If-None-Match` value is `*` or lists the tag. Our tags are hexadecimal: they contain no comma.
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
    fn a_tag_is_found_alone_in_a_list_weak_and_by_the_star() {
        for list in ["*", "\"ab12\"", "W/\"ab12\"", "\"x\", \"ab12\"", "\"x,y\",W/\"ab12\" ,\"z\""] {
            assert!(lists(list, b"\"ab12\""), "{list}");
        }
        for list in ["", "ab12", "\"ab1\"", "\"AB12\"", "\"x\"", "W/ab12", "\"ab12"] {
            assert!(!lists(list, b"\"ab12\""), "{list}");
        }
    }
}
