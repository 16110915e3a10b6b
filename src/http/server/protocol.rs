//! What HTTP requires of a request beyond what the parser checks.
//!
//! Policy: a request that two programs on its way could understand differently is refused, and its connection is closed, because what
//! follows may be a part of it (RFC 9112, sections 3.2, 6.1 and 11.2). A request without a body costs one pass over its headers.

use hyper::body::{Body as _, Incoming};
use hyper::header::{EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method, Request, Version};

use super::connection_state::ConnectionState;
use crate::http::error::{ErrorStatus, HttpError};

/// Checks the head of a request.
///
/// # Errors
/// If a rule of HTTP is broken: the answer.
pub fn check(request: &Request<Incoming>, connection: &ConnectionState) -> Result<(), HttpError> {
    let headers = request.headers();
    let facts = HeadFacts::of(headers);
    check_host(request.version(), &facts)?;
    if request.uri().authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(bad_request("The request target must not contain a user name or password."));
    }
    let is_authority = request.uri().authority().is_some() && request.uri().scheme().is_none();
    if is_authority && request.method() != Method::CONNECT {
        return Err(bad_request("The request target is not a path, a URL or `*`."));
    }
    if !request.body().is_end_stream() {
        check_transfer_encoding(headers, connection)?;
    }
    if facts.has_other_expectation {
        let message = "The only expectation that can be met is `100-continue`.";
        return Err(HttpError::new(ErrorStatus::EXPECTATION_FAILED, message).closing());
    }
    Ok(())
}

/// What the head of every request is checked for. One pass over the headers costs less than a look-up of each name.
struct HeadFacts {
    hosts: usize,
    are_hosts_valid: bool,
    has_other_expectation: bool,
}

impl HeadFacts {
    fn of(headers: &HeaderMap) -> Self {
        let mut facts = Self { hosts: 0, are_hosts_valid: true, has_other_expectation: false };
        for (name, value) in headers {
            if *name == HOST {
                facts.hosts += 1;
                facts.are_hosts_valid &= is_host(value.as_bytes());
            } else if *name == EXPECT {
                facts.has_other_expectation |= !value.as_bytes().eq_ignore_ascii_case(b"100-continue");
            }
        }
        facts
    }
}

fn check_host(version: Version, facts: &HeadFacts) -> Result<(), HttpError> {
    match facts.hosts {
        1 if facts.are_hosts_valid => Ok(()),
        1 => Err(bad_request("The `Host` header is not a host name or address, with an optional port.")),
        0 if version == Version::HTTP_10 => Ok(()),
        0 => Err(bad_request("The request has no `Host` header.")),
        _ => Err(bad_request("The request has more than one `Host` header.")),
    }
}

/// Whether the value of `Host` is `uri-host [ ":" port ]` of RFC 3986. A client whose target has no authority sends an empty one.
fn is_host(host: &[u8]) -> bool {
    let name_end = match host {
        [b'[', ..] => match host.iter().position(|byte| *byte == b']') {
            Some(end) if is_ip_literal(&host[1..end]) => end + 1,
            _ => return false,
        },
        _ => host.iter().position(|byte| *byte == b':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(name_end);
    let is_name_valid = name.starts_with(b"[") || is_registered_name(name);
    let is_port_valid = port.strip_prefix(b":").map_or(port.is_empty(), |port| port.iter().all(u8::is_ascii_digit));
    is_name_valid && is_port_valid
}

/// Whether each byte may be in a registered name, as RFC 3986 has it. A table, because every request has a `Host`.
static IS_IN_NAME: [bool; 256] = {
    let mut is_in_name = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        is_in_name[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut others: &[u8] = b"-._~!$&'()*+,;=%";
    while let [first, rest @ ..] = others {
        is_in_name[*first as usize] = true;
        others = rest;
    }
    is_in_name
};

fn is_registered_name(name: &[u8]) -> bool {
    name.iter().all(|byte| IS_IN_NAME[usize::from(*byte)])
}

fn is_ip_literal(literal: &[u8]) -> bool {
    let text = std::str::from_utf8(literal).unwrap_or_default();
    let is_future = literal.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'v'))
        && literal.contains(&b'.')
        && literal.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(byte));
    text.parse::<std::net::Ipv6Addr>().is_ok() || is_future
}

fn check_transfer_encoding(headers: &HeaderMap, connection: &ConnectionState) -> Result<(), HttpError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes);
    let Some(coding) = codings.next() else { return Ok(()) };
    if connection.is_framing_lost() {
        return Err(bad_request(
            "The length of the body is ambiguous: send `Content-Length` or `Transfer-Encoding`, not both.",
        ));
    }
    if !coding.trim_ascii().eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
        return Err(HttpError::unknown_transfer_coding());
    }
    Ok(())
}

fn bad_request(message: &str) -> HttpError {
    HttpError::new(ErrorStatus::BAD_REQUEST, message).closing()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for host in ["", "x", "a.example:8080", "127.0.0.1", "[::1]", "[::1]:80", "a_b", "x:", "%41", "[v1.a:b]"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b", "u@h", "u:p@h", "a/b", "a:b", "a:1:2", "::1", "[::1", "[x]", "[::1]x", "a\"b", "a?b", "ü", "<a>",
            "[]",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn only_http_1_0_may_leave_out_the_host() {
        let mut headers = HeaderMap::new();
        assert!(check_host(Version::HTTP_10, &HeadFacts::of(&headers)).is_ok());
        assert!(check_host(Version::HTTP_11, &HeadFacts::of(&headers)).is_err());
        headers.append(HOST, HeaderValue::from_static("a"));
        assert!(check_host(Version::HTTP_11, &HeadFacts::of(&headers)).is_ok());
        headers.append(HOST, HeaderValue::from_static("a"));
        assert!(check_host(Version::HTTP_10, &HeadFacts::of(&headers)).is_err());
    }
}
