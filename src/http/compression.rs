//! Compressed answers.
//!
//! Policy: an answer of more than 1 KiB is compressed if the client accepts a coding, a smaller one only if the client refuses
//! everything else. Every answer that depends on `Accept-Encoding` says so (`Vary`). An answer in memory is compressed once for all who read it; a
//! stream as it is sent; a file of the documentation page when the program is built. There is no secret in an answer that also contains
//! a client's text, so its length reveals none.

use content_coding::{ContentCoding, Effort, Encoder};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue, VARY};
use hyper::{HeaderMap, StatusCode};

use super::negotiation::weighted;
use super::response::{Body, Reply, add_vary};

/// An answer up to this size is sent as it is, in bytes.
pub const MAX_PLAIN: usize = 1024;

/// The coding for an answer of this size, if it should have one. Among those that the client prefers equally, the first of `order`.
pub fn choose(headers: &HeaderMap, size: usize, order: &[ContentCoding]) -> Option<ContentCoding> {
    // Only a weight, of zero, can refuse a small answer as it is; nearly no client sends one.
    let has_weight = || headers.get_all(ACCEPT_ENCODING).iter().any(|value| value.as_bytes().contains(&b';'));
    if size <= MAX_PLAIN && !has_weight() { None } else { AcceptedCodings::of(headers).choose(size, order) }
}

/// What a client accepts. Weights are in thousandths.
#[derive(Debug, Default)]
struct AcceptedCodings {
    /// In the order of [`ContentCoding::ALL`].
    codings: [Option<u16>; ContentCoding::ALL.len()],
    any: Option<u16>,
    identity: Option<u16>,
}

impl AcceptedCodings {
    /// What the header says; without it, no coding is accepted.
    fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        if !headers.contains_key(ACCEPT_ENCODING) {
            return accepted;
        }
        for (name, weight) in weighted(headers, &ACCEPT_ENCODING) {
            let is = |token: &str| name.eq_ignore_ascii_case(token);
            if let Some(position) = ContentCoding::ALL.iter().position(|coding| is(coding.token())) {
                accepted.codings[position] = Some(weight);
            } else if is("x-gzip") {
                accepted.codings[ContentCoding::Gzip as usize] = Some(weight);
            } else if name == "*" {
                accepted.any = Some(weight);
            } else if is("identity") {
                accepted.identity = Some(weight);
            }
        }
        accepted
    }

    fn choose(&self, size: usize, order: &[ContentCoding]) -> Option<ContentCoding> {
        // Without an entry of its own, no coding at all is acceptable unless `*` refuses it, and less wanted than any that is listed.
        let identity = self.identity.or(self.any.filter(|weight| *weight == 0));
        if size <= MAX_PLAIN && identity != Some(0) {
            return None;
        }
        let weight = |coding: ContentCoding| self.codings[coding as usize].or(self.any).unwrap_or(0);
        // The last one of several equal ones is returned, so the order is reversed.
        let best = order.iter().copied().rev().max_by_key(|coding| weight(*coding))?;
        (weight(best) > 0 && weight(best) >= identity.unwrap_or(0)).then_some(best)
    }
}

/// Adds the headers of an answer of this size that was made with this choice. A 304 has no content, so it has no coding either.
pub fn add_headers(reply: &mut Reply, coding: Option<ContentCoding>, size: usize) {
    if let Some(coding) = coding.filter(|_| reply.status != StatusCode::NOT_MODIFIED) {
        reply.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
    }
    if coding.is_some() || size > MAX_PLAIN {
        add_vary(&mut reply.headers, "Accept-Encoding");
    }
}

/// Compresses an answer whose body is complete, unless its form has been negotiated already.
pub fn compress(request: &HeaderMap, reply: &mut Reply) {
    let Some(body) = reply.body.complete() else { return };
    let mut coding = choose(request, body.len(), &ContentCoding::ALL);
    let size = body.len();
    // Most answers are small, and their other headers need not be searched.
    let is_plain = coding.is_none() && size <= MAX_PLAIN;
    let is_negotiated = || reply.headers.get(VARY).is_some_and(|vary| vary.as_bytes().ends_with(b"Accept-Encoding"));
    if is_plain || is_negotiated() {
        return;
    }
    // Without memory for an encoder, the answer is sent as it is.
    match coding.map(|coding| coding.encode(Effort::Fast, body)) {
        Some(Ok(encoded)) => reply.body = Body::full(encoded),
        Some(Err(_)) => coding = None,
        None => {}
    }
    add_headers(reply, coding, size);
}

/// Compresses an answer whose body is streamed.
pub fn compress_stream(request: &HeaderMap, reply: &mut Reply) {
    let coding = choose(request, usize::MAX, &ContentCoding::ALL);
    // Without memory for an encoder, the answer is sent as it is.
    let encoder = coding.and_then(|coding| Some((coding, Encoder::new(coding, Effort::Stream).ok()?)));
    let coding = encoder.map(|(coding, encoder)| {
        let body = std::mem::replace(&mut reply.body, Body::empty());
        reply.body = body.encoded(encoder);
        coding
    });
    add_headers(reply, coding, usize::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(accept: &str, size: usize) -> Option<&'static str> {
        let headers: HeaderMap = [(ACCEPT_ENCODING, accept.parse().unwrap())].into_iter().collect();
        super::choose(&headers, size, &ContentCoding::ALL).map(ContentCoding::token)
    }

    #[test]
    fn a_coding_is_chosen_by_weight_then_by_the_order_of_the_server() {
        for (accept, expected) in [
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip, deflate, br", Some("br")),
            ("gzip, deflate", Some("gzip")),
            ("X-GZIP", Some("gzip")),
            ("gzip;q=1.0, br;q=0.9, zstd;q=0.1", Some("gzip")),
            ("zstd;q=0, br", Some("br")),
            ("*", Some("zstd")),
            ("zstd;q=0, *", Some("br")),
            ("zstd;q=0, *;q=0.5, gzip", Some("gzip")),
            ("identity;q=0.5, gzip", Some("gzip")),
            ("identity, gzip", Some("gzip")),
            ("identity, gzip;q=0.5", None),
            ("identity", None),
            ("deflate, compress", None),
            ("gzip;q=0", None),
            ("*;q=0", None),
            ("gzip;q=2", None),
            ("", None),
            ("identity;q=0", None),
            ("identity;q=0, gzip;q=0.001", Some("gzip")),
        ] {
            assert_eq!(choose(accept, MAX_PLAIN + 1), expected, "{accept}");
        }
    }

    #[test]
    fn a_small_answer_is_compressed_only_if_the_client_refuses_it_otherwise() {
        for (accept, expected) in [
            ("gzip", None),
            ("*", None),
            ("gzip, identity;q=0", Some("gzip")),
            ("br, *;q=0", Some("br")),
            ("*;q=0", None),
        ] {
            assert_eq!(choose(accept, MAX_PLAIN), expected, "{accept}");
        }
        assert!(super::choose(&HeaderMap::new(), 1 << 20, &ContentCoding::ALL).is_none());
    }
}
