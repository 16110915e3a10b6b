//! One request as a handler sees it, and how its body is read.
//!
//! Policy: a body is read within `body_timeout` and up to `max_body` bytes; a body that announces more is refused before
//! it is read. All bodies together have a budget of memory (`body_budget.rs`). Only a content type of JSON is accepted; the text
//! encoding is detected from the bytes (`encoding.rs`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;

use super::body_budget::{BudgetExhausted, BudgetedBody};
use super::encoding;
use super::error::{Cause, ErrorStatus, HttpError, VALIDATION_ERROR};
use super::response::Reply;
use super::state::AppState;
use crate::attendance::{CreateRequest, NewRecord, Problem};

/// The answer if the budget of all bodies has no room for this one.
const BODIES_BUSY: &str =
    "Large request bodies are busy: those being read fill the memory for them. Try again shortly.";

/// The future of a handler.
pub type HandlerFuture<'a> = Pin<Box<dyn Future<Output = Result<Reply, HttpError>> + Send + 'a>>;

/// One request.
#[derive(Debug)]
pub struct RequestContext {
    /// What all requests share.
    pub app: Arc<AppState>,
    /// Method, target and headers.
    pub head: Parts,
    /// The parameters in the path.
    pub parameters: PathParameters,
    body: Incoming,
    is_body_complete: bool,
}

/// The parameters in the path of a request, decoded.
#[derive(Debug, Default)]
pub struct PathParameters(Vec<(&'static str, String)>);

impl PathParameters {
    /// Adds a parameter.
    pub fn push(&mut self, name: &'static str, value: String) {
        self.0.push((name, value));
    }

    /// The value of a parameter. Empty if the path of the route does not contain it.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

impl RequestContext {
    /// A request whose body has not been read.
    pub fn new(app: Arc<AppState>, head: Parts, body: Incoming) -> Self {
        Self { app, head, parameters: PathParameters::default(), body, is_body_complete: false }
    }

    /// Whether the body has been read to its end.
    pub fn is_body_read(&self) -> bool {
        self.is_body_complete || self.body.is_end_stream()
    }

    /// The query, without `?`.
    pub fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// Reads the body as a valid record.
    pub async fn record(&mut self) -> Result<NewRecord, HttpError> {
        if !is_json(&self.head.headers) {
            return Err(HttpError::new(
                ErrorStatus::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON and say so: send it with `Content-Type: application/json`.",
            ));
        }
        let app = Arc::clone(&self.app);
        let body = self.body(&app).await?;
        record(body.bytes())
    }

    /// Reads the whole body.
    async fn body<'a>(&mut self, app: &'a AppState) -> Result<BudgetedBody<'a>, HttpError> {
        let limits = app.limits();
        let limit = limits.max_body;
        let announced = self.body.size_hint();
        if announced.lower() > limit as u64 {
            return Err(too_large(limit));
        }
        let max_size = announced.exact().map_or(limit, |announced| announced as usize);
        let body = app.body_budget.body(limits.body_budget, max_size);
        let within = limits.body_timeout;
        match tokio::time::timeout(within, self.read(limit, body)).await {
            Ok(body) => body,
            Err(_) => Err(HttpError::new(
                ErrorStatus::REQUEST_TIMEOUT,
                format!("The body was not complete after {} s.", within.as_secs_f64()),
            )),
        }
    }

    async fn read<'a>(&mut self, limit: usize, mut body: BudgetedBody<'a>) -> Result<BudgetedBody<'a>, HttpError> {
        // A body of known length ends with its last byte. Waiting for the parser to report the end would cost another poll.
        while !self.body.is_end_stream()
            && let Some(frame) = self.body.frame().await
        {
            let frame = frame.map_err(|error| {
                if is_oversized_chunk(&error) {
                    return too_large(limit);
                }
                HttpError::new(ErrorStatus::BAD_REQUEST, "The body ended early or is not framed as HTTP asks.")
                    .with_title(VALIDATION_ERROR)
                    .with_cause(Cause::Body(error))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if body.bytes().len() + data.len() > limit {
                return Err(too_large(limit));
            }
            body.append(&data).map_err(|BudgetExhausted| HttpError::unavailable(BODIES_BUSY))?;
        }
        self.is_body_complete = true;
        Ok(body)
    }
}

/// Whether the socket refused a chunk that is larger than a body may be.
fn is_oversized_chunk(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::FileTooLarge) {
            return true;
        }
        source = cause.source();
    }
    false
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
            .with_title(VALIDATION_ERROR)
            .with_details(vec![Problem::new("body", problem)])
    };
    if body.is_empty() {
        return Err(unusable("is empty: at byte 0 a JSON object must begin".to_owned()));
    }
    let text = encoding::text(body).map_err(|error| unusable(error.to_string()))?;
    let request: CreateRequest =
        serde_json::from_str(&text).map_err(|error| unusable(format!("is not JSON that can be read: {error}")))?;
    request.check().map_err(|problems| {
        HttpError::new(ErrorStatus::BAD_REQUEST, "The record is not valid: see details.")
            .with_title(VALIDATION_ERROR)
            .with_details(problems)
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).is_some_and(is_json_type)
}

/// Whether a content type is `application/json` or `application/*+json`, in any case, with any parameters.
fn is_json_type(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|b| *b == b';').unwrap_or(content_type.len());
    let name = content_type[..end].trim_ascii().to_ascii_lowercase();
    name.strip_prefix(b"application/").is_some_and(|subtype| subtype == b"json" || subtype.ends_with(b"+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_content_type_is_recognised_in_any_case_with_any_parameters() {
        for json in [
            "application/json",
            "APPLICATION/JSON",
            "application/json; charset=latin-1",
            "application/json;",
            " application/json ",
            "application/vnd.api+json",
            "application/problem+JSON; a=b",
        ] {
            assert!(is_json_type(json.as_bytes()), "{json}");
        }
        for other in ["", "text/json", "text/plain", "application/jsonx", "application", "json", "a+json", ";"] {
            assert!(!is_json_type(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn every_body_that_is_not_a_record_is_a_validation_error_that_says_where() {
        let answer = |body: &[u8]| String::from_utf8(record(body).unwrap_err().body("id")).unwrap();
        for body in
            [&b""[..], b"NaN", b"{", b"{\"id\":\"\xff\"}", b"{\"id\":\"\\ud800\"}", b"[]", b"{}", b"null", b"{} {}"]
        {
            let answer = answer(body);
            assert!(answer.starts_with("{\"error\":\"Validation Error\","), "{answer}");
            assert!(answer.contains("\"details\":[{\"field\":"), "{answer}");
        }
        assert!(answer(b"{\"id\": \"1\",\n}").contains("line 2 column 1"));
        assert!(answer(b"{\"id\":\"a\\u0000\"}").contains("control characters"));
        assert!(answer(b"{\"id\":\"\xff\"}").contains("byte 7"));
    }
}
