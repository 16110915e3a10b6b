//! One request as a handler sees it, and how its body is read.
//!
//! Policy: a body is read within `body_timeout` and up to `max_body` bytes; one that announces more is refused before
//! it is read. JSON is what says that it is JSON; what it is encoded in is seen from the bytes (`encoding.rs`).

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;

use super::encoding;
use super::error::{ErrorStatus, HttpError, VALIDATION_ERROR};
use super::state::AppState;
use crate::attendance::{CreateRequest, NewRecord, Problem};

/// One request.
#[derive(Debug)]
pub struct RequestContext {
    /// What it may use.
    pub app: Arc<AppState>,
    /// Method, target, headers.
    pub head: Parts,
    /// The last piece of a file route's path.
    pub file: String,
    body: Incoming,
    at_end: bool,
}

impl RequestContext {
    /// A request whose body has not been touched.
    pub fn new(app: Arc<AppState>, head: Parts, body: Incoming) -> Self {
        Self { app, head, file: String::new(), body, at_end: false }
    }

    /// Whether the client's body has been taken off the connection.
    pub fn body_is_read(&self) -> bool {
        self.at_end || self.body.is_end_stream()
    }

    /// The query, without `?`.
    pub fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// The body, as a valid record.
    pub async fn record(&mut self) -> Result<NewRecord, HttpError> {
        if !is_json(&self.head.headers) {
            return Err(HttpError::new(
                ErrorStatus::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON and say so: send it with `Content-Type: application/json`.",
            ));
        }
        let body = self.body().await?;
        record(&body)
    }

    /// The whole body.
    async fn body(&mut self) -> Result<Vec<u8>, HttpError> {
        let limits = self.app.limits();
        let limit = limits.max_body;
        let announced = self.body.size_hint().lower();
        if announced > limit as u64 {
            return Err(too_large(limit));
        }
        let within = limits.body_timeout;
        match tokio::time::timeout(within, self.read(limit, announced as usize)).await {
            Ok(body) => body,
            Err(_) => Err(HttpError::new(
                ErrorStatus::REQUEST_TIMEOUT,
                format!("The body was not complete after {} s.", within.as_secs_f64()),
            )),
        }
    }

    async fn read(&mut self, limit: usize, announced: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::with_capacity(announced);
        // A body of a known length has ended with its last byte: to wait for the parser to say so costs another turn.
        while !self.body.is_end_stream()
            && let Some(frame) = self.body.frame().await
        {
            let frame = frame.map_err(|error| {
                HttpError::new(ErrorStatus::BAD_REQUEST, "The body ended early or is not framed as HTTP asks.")
                    .titled(VALIDATION_ERROR)
                    .logged(format!("a request's body could not be read: {error}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if body.len() + data.len() > limit {
                return Err(too_large(limit));
            }
            body.extend_from_slice(&data);
        }
        self.at_end = true;
        Ok(body)
    }
}

fn too_large(limit: usize) -> HttpError {
    HttpError::new(
        ErrorStatus::PAYLOAD_TOO_LARGE,
        format!("The body is larger than {limit} bytes, the most that is read."),
    )
}

fn record(body: &[u8]) -> Result<NewRecord, HttpError> {
    let unusable = |problem: String| {
        HttpError::new(ErrorStatus::BAD_REQUEST, format!("The body {problem}."))
            .titled(VALIDATION_ERROR)
            .because(vec![Problem::new("body", problem)])
    };
    if body.is_empty() {
        return Err(unusable("is empty: at byte 0 a JSON object must begin".to_owned()));
    }
    let text = encoding::text(body).map_err(|fault| unusable(fault.to_string()))?;
    let draft: CreateRequest =
        serde_json::from_str(&text).map_err(|error| unusable(format!("is not JSON that can be read: {error}")))?;
    draft.check().map_err(|problems| {
        HttpError::new(ErrorStatus::BAD_REQUEST, "The record is not valid: see details.")
            .titled(VALIDATION_ERROR)
            .because(problems)
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).is_some_and(names_json)
}

/// `application/json` or `application/*+json`, in any case, with any parameters.
fn names_json(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|b| *b == b';').unwrap_or(content_type.len());
    let name = content_type[..end].trim_ascii().to_ascii_lowercase();
    name.strip_prefix(b"application/").is_some_and(|subtype| subtype == b"json" || subtype.ends_with(b"+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_what_says_so() {
        for json in [
            "application/json",
            "APPLICATION/JSON",
            "application/json; charset=latin-1",
            "application/json;",
            " application/json ",
            "application/vnd.api+json",
            "application/problem+JSON; a=b",
        ] {
            assert!(names_json(json.as_bytes()), "{json}");
        }
        for other in ["", "text/json", "text/plain", "application/jsonx", "application", "json", "a+json", ";"] {
            assert!(!names_json(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn every_refusal_of_a_body_has_the_same_title_and_says_where() {
        let refusal = |body: &[u8]| String::from_utf8(record(body).unwrap_err().body("id")).unwrap();
        for body in
            [&b""[..], b"NaN", b"{", b"{\"id\":\"\xff\"}", b"{\"id\":\"\\ud800\"}", b"[]", b"{}", b"null", b"{} {}"]
        {
            let refusal = refusal(body);
            assert!(refusal.starts_with("{\"error\":\"Validation Error\","), "{refusal}");
            assert!(refusal.contains("\"details\":[{\"field\":"), "{refusal}");
        }
        assert!(refusal(b"{\"id\": \"1\",\n}").contains("line 2 column 1"));
        assert!(refusal(b"{\"id\":\"a\\u0000\"}").contains("control characters"));
        assert!(refusal(b"{\"id\":\"\xff\"}").contains("byte 7"));
    }
}
