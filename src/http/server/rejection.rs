//! Answers the requests that the HTTP parser rejects, and the clients with too many connections: neither become requests to the service.
//!
//! Policy: these answers have the form of every other error: JSON, a request id, a line in the access log, and `Connection: close`. The parser
//! gives a bare head with a status that it derives from few kinds of error; the status is made more precise here.

use std::net::SocketAddr;

use super::exchange;
use super::framing::Framing;
use crate::attendance::json::Charset;
use crate::http::error::{ErrorStatus, HttpError};
use crate::http::state::AppState;

/// Makes the answer to a head that the parser rejected, and records it. `parser_head` is what the parser wrote, `unread` the input that
/// it did not consume. `None` if there is nothing to answer.
pub fn answer(
    app: &AppState,
    peer: SocketAddr,
    rejection: &hyper::Error,
    parser_head: Option<&[u8]>,
    unread: &[u8],
    framing: &Framing,
) -> Option<Vec<u8>> {
    let parser_head = parser_head.map(String::from_utf8_lossy);
    if parser_head.is_none() && !rejection.is_parse_version_h2() {
        return None;
    }
    let parser_head = parser_head.as_deref().unwrap_or_default();
    let status = parser_head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let error = error(status.unwrap_or(400), rejection, unread, framing);
    let id = app.request_ids.generate();
    let date = parser_head.split("\r\n").find(|line| line.starts_with("date:"));
    exchange::record_rejected_head(app, peer, error.status().as_u16(), &id);
    Some(closing_answer(&error, &id, app.charset(), date))
}

/// The answer to a connection from an address that has too many. No request has been read, so none is recorded.
pub fn too_many_connections(app: &AppState) -> Vec<u8> {
    let message = "Your address has too many connections to this server. Use fewer, or try again shortly.";
    closing_answer(&HttpError::unavailable(message), &app.request_ids.generate(), app.charset(), Some("retry-after: 1"))
}

/// The bytes of an answer after which the connection is closed.
fn closing_answer(error: &HttpError, request_id: &str, charset: Charset, header: Option<&str>) -> Vec<u8> {
    let (code, body) = (error.status(), error.body(request_id, charset));
    let mut out = format!("HTTP/1.1 {} {}\r\n", code.as_u16(), code.canonical_reason().unwrap_or_default());
    for line in ["connection: close"].into_iter().chain(header) {
        out.push_str(line);
        out.push_str("\r\n");
    }
    out.push_str("content-type: application/json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n");
    out.push_str(&format!("x-request-id: {request_id}\r\ncontent-length: {}\r\n\r\n", body.len()));
    [out.as_bytes(), &body].concat()
}

/// The error for the status that the parser chose. The parser has no types for the kinds of error, only texts; the tests of the protocol
/// notice if those change.
fn error(status: u16, rejection: &hyper::Error, unread: &[u8], framing: &Framing) -> HttpError {
    let kind = rejection.to_string();
    match status {
        // The parser reports a length beyond its own limit as a head that is too large, or as one that is not valid.
        400 | 431 if framing.has_oversized_length() => {
            HttpError::new(ErrorStatus::PAYLOAD_TOO_LARGE, "The body is larger than any body that is read.")
        }
        400 if kind.starts_with("invalid transfer-encoding") => HttpError::unknown_transfer_coding(),
        400 if kind.starts_with("invalid HTTP version") && has_version(unread) => {
            HttpError::new(ErrorStatus::VERSION_NOT_SUPPORTED, "This version of HTTP is not supported; use 1.1 or 1.0.")
        }
        414 => HttpError::new(ErrorStatus::URI_TOO_LONG, "The request target is too long."),
        431 => HttpError::new(ErrorStatus::HEAD_TOO_LARGE, "The request line and headers are too large."),
        _ => HttpError::new(ErrorStatus::BAD_REQUEST, "The request line or a header is not valid HTTP."),
    }
}

/// Whether a request line ends with the name of a version of HTTP.
fn has_version(head: &[u8]) -> bool {
    let line = head.trim_ascii_start();
    let line = &line[..line.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(line.len())];
    // A target with a space in it is not a matter of the version.
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    let version = words.next().unwrap_or_default();
    words.next().is_none()
        && matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_recognised_at_the_end_of_the_request_line() {
        for head in ["GET / HTTP/2.0\r\n", "\r\nGET / HTTP/9.9\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.2"]
        {
            assert!(has_version(head.as_bytes()), "{head:?}");
        }
        for head in [
            "",
            "GET /\r\n",
            "GET / HTTP/x.1\r\n",
            "GET / http/1.1\r\n",
            "GET / HTTP/1.1 \r\n",
            "GET /\r\nHTTP/2.0",
            "GET /a b HTTP/1.1",
        ] {
            assert!(!has_version(head.as_bytes()), "{head:?}");
        }
    }
}
