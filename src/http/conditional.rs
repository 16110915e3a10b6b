//! Conditional reads: an answer that the client already has is not sent again.
//!
//! Policy: entity tags are compared weakly, as RFC 9110 requires for `If-None-Match`. A client or proxy may store an answer
//! but must revalidate it before each use (`Cache-Control: no-cache`): otherwise it could serve a stale answer. Each content coding of an
//! answer has a tag of its own, and the tag of the form that the client would get is compared.
//!
//! A change may name the tags of which the record must have one (`If-Match`). They are compared strongly, in the statement of the change; what is not a list
//! of entity tags is refused, because a change that ignored it might overwrite another one.

use bytes::Bytes;
use content_coding::{ContentCoding, Effort, Encoder};
use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};

use super::compression::{MAX_PLAIN, add_headers, choose};
use super::error::{ErrorStatus, HttpError};
use super::response::{Body, Reply};
use crate::attendance::{Answer, Content, EncodedForm, Precondition, Problem};

/// A larger answer is encoded while it is sent, each time, because it would delay other requests. The cache stores no larger one by default.
const MAX_ENCODED_WHOLE: usize = 1 << 20;

/// The answer to a read: 304 if the client has it already in the form that it would get, otherwise the body; both with the entity tag.
pub fn reply(headers: &HeaderMap, answer: &Answer) -> Reply {
    let content = &answer.content;
    let size = content.body.len();
    let coding = choose(headers, size, &ContentCoding::ALL);
    let encoded = coding.and_then(|coding| Some((coding, encoded(content, coding)?)));
    let (coding, etag, body) = match encoded {
        Some((coding, Form { etag, body })) => (Some(coding), etag, body),
        None => (None, content.etag.clone(), Body::full(content.body.clone())),
    };
    let json = HeaderValue::from_static("application/json");
    let make = if size > MAX_PLAIN { Reply::large } else { Reply::new };
    let mut reply = unless_matched(headers, etag, || make(StatusCode::OK, json, body));
    add_headers(&mut reply, coding, size);
    reply.cache = Some(answer.cached);
    reply
}

/// 304 if the client has the form with this entity tag, otherwise what `reply` makes; both with the tag.
pub fn unless_matched(headers: &HeaderMap, etag: Bytes, reply: impl FnOnce() -> Reply) -> Reply {
    let mut reply = if matches(headers, &etag) { Reply::empty(StatusCode::NOT_MODIFIED) } else { reply() };
    if let Ok(tag) = HeaderValue::from_maybe_shared(etag) {
        reply.headers.insert(ETAG, tag);
    }
    require_revalidation(&mut reply);
    reply
}

/// A record after a change, with its entity tag, which no cache may keep.
pub fn changed(content: &Content) -> Reply {
    let mut reply = Reply::uncacheable_json(StatusCode::OK, content.body.clone());
    if let Ok(tag) = HeaderValue::from_maybe_shared(content.etag.clone()) {
        reply.headers.insert(ETAG, tag);
    }
    reply
}

/// What `If-Match` requires; `None` without the header.
///
/// # Errors
/// When it is neither `*` nor a list of entity tags.
pub fn precondition(headers: &HeaderMap) -> Result<Option<Precondition>, HttpError> {
    let lists: Vec<_> = headers.get_all(IF_MATCH).iter().map(HeaderValue::as_bytes).collect();
    if lists.is_empty() {
        return Ok(None);
    }
    // A tag may contain bytes beyond ASCII, which have no coding: each is one character here.
    let list: String = lists.join(&b","[..]).into_iter().map(char::from).collect();
    let parsed = match list.trim_matches([' ', '\t']) {
        "*" => Some(Precondition::Exists),
        list => strong_tags(list).map(Precondition::Tags),
    };
    parsed.map(Some).ok_or_else(|| {
        let problem = "must be `*` or entity tags in double quotes, separated by commas, as the header `ETag` has them";
        HttpError::new(ErrorStatus::BAD_REQUEST, "The header `If-Match` cannot be used: see details.")
            .with_details(vec![Problem::new("If-Match", problem)])
    })
}

/// The strong tags of a list (RFC 9110, sections 5.6.1 and 8.8.3), which has at least one tag and may have empty elements; `None` if it is no such list.
/// `parameter_schema::ENTITY_TAGS` describes the same lists.
fn strong_tags(mut list: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    loop {
        list = list.trim_start_matches([' ', '\t', ',']);
        let is_weak = list.starts_with("W/");
        let opaque = list.strip_prefix("W/").unwrap_or(list).strip_prefix('"')?;
        let (tag, rest) = opaque.split_once('"')?;
        if !tag.chars().all(|c| matches!(c, '!' | '#'..='~' | '\u{80}'..='\u{ff}')) {
            return None;
        }
        if !is_weak {
            tags.push(format!("\"{tag}\""));
        }
        list = rest.trim_start_matches([' ', '\t']);
        if list.trim_matches([' ', '\t', ',']).is_empty() {
            return Some(tags);
        }
        if !list.starts_with(',') {
            return None;
        }
    }
}

/// An encoded form of an answer.
struct Form {
    etag: Bytes,
    body: Body,
}

/// `None` if there is no memory for an encoder; then the answer is sent as it is.
fn encoded(content: &Content, coding: ContentCoding) -> Option<Form> {
    if content.body.len() > MAX_ENCODED_WHOLE {
        let encoder = Encoder::new(coding, Effort::Stream).ok()?;
        let body = Body::full(content.body.clone()).encoded(encoder);
        return Some(Form { etag: content.etag_of(coding), body });
    }
    let EncodedForm { etag, body } = content.encoded(coding).ok()?;
    Some(Form { etag, body: Body::full(body) })
}

/// Marks an answer that a cache must revalidate before each use.
pub fn require_revalidation(reply: &mut Reply) {
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

/// Whether `If-None-Match` contains the tag, which includes its quotes.
fn matches(headers: &HeaderMap, tag: &[u8]) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| lists(list, tag))
}

/// Whether the value of `If-None-Match` is `*` or lists the tag. A tag consists of letters, digits and dashes, so it contains no comma.
fn lists(list: &str, tag: &[u8]) -> bool {
    list.split(',').map(str::trim).any(|entry| {
        let entry = entry.strip_prefix("W/").unwrap_or(entry);
        entry == "*" || entry.as_bytes() == tag
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;
    use crate::http::parameter_schema::ENTITY_TAGS;

    #[test]
    fn a_tag_matches_alone_in_a_list_as_a_weak_tag_and_by_a_star() {
        for list in ["*", "\"ab12\"", "W/\"ab12\"", "\"x\", \"ab12\"", "\"x,y\",W/\"ab12\" ,\"z\""] {
            assert!(lists(list, b"\"ab12\""), "{list}");
        }
        for list in ["", "ab12", "\"ab1\"", "\"AB12\"", "\"x\"", "W/ab12", "\"ab12"] {
            assert!(!lists(list, b"\"ab12\""), "{list}");
        }
    }

    #[test]
    fn if_match_is_a_star_or_a_list_of_tags() {
        let parse = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_MATCH, HeaderValue::from_static(value));
            }
            precondition(&headers).map_err(|error| error.status().as_u16())
        };
        let tags = |tags: &[&str]| Ok(Some(Precondition::Tags(tags.iter().map(|tag| format!("\"{tag}\"")).collect())));
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[" * "]), Ok(Some(Precondition::Exists)));
        assert_eq!(parse(&["\"a\""]), tags(&["a"]));
        assert_eq!(parse(&["\"a\" ,W/\"w\",, \"b,c\"", "\"d\","]), tags(&["a", "b,c", "d"]));
        assert_eq!(parse(&["W/\"w\""]), tags(&[]));
        for wrong in ["", "0", "a", "\"a", "\"a\" \"b\"", "*, \"a\"", "w/\"a\"", "\"a b\"", ","] {
            assert_eq!(parse(&[wrong]), Err(400), "{wrong}");
        }
    }

    #[test]
    fn a_tag_with_bytes_beyond_ascii_is_one_that_no_record_has() {
        for bytes in [b"\"\xfc\"".as_slice(), b"\"\xc3\xbc\"", b"\"\x80\xff\""] {
            let headers = HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_bytes(bytes).unwrap())]);
            let Ok(Some(Precondition::Tags(tags))) = precondition(&headers) else { panic!("{bytes:?} is refused") };
            assert!(!tags[0].is_ascii());
        }
    }

    /// Lists of entity tags, as the OpenAPI document describes them.
    fn described_lists() -> impl Strategy<Value = String> {
        string_regex(ENTITY_TAGS.trim_start_matches('^').trim_end_matches('$')).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_list_that_the_openapi_document_describes_is_read(list in described_lists()) {
            let bytes: Vec<u8> = list.chars().map(|c| u8::try_from(c).unwrap()).collect();
            let headers = HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_bytes(&bytes).unwrap())]);
            prop_assert!(matches!(precondition(&headers), Ok(Some(Precondition::Tags(_)))));
        }
    }
}
