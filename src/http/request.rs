//! One request as a handler sees it, and how its body is read.
//!
//! Policy: a body is read within `body_timeout` and up to `max_body` bytes; a body that announces more is refused before
//! it is read. All bodies together have a budget of memory (`body_budget.rs`). Only a content type of JSON is accepted; the text
//! encoding is detected from the bytes (`encoding.rs`).

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;

use super::body_budget::{BudgetExhausted, BudgetedBody};
use super::caller::Caller;
use super::encoding;
use super::error::{Cause, ErrorStatus, HttpError, VALIDATION_ERROR};
use super::forwarded::Client;
use super::percent::{DecodeError, decode_strictly};
use super::request_id::RequestId;
use super::response::Reply;
use super::state::AppState;
use crate::access::{Access, Permission};
use crate::attendance::{
    self, Correction, CorrectionRequest, CreateRequest, Date, NewRecord, Origin, Problem, UnnamedRecord, Visibility,
    truncate_for_message,
};

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
    /// The client that sent the request, and whether it used TLS.
    pub client: Client,
    /// The account that sent the request, if that is known.
    pub caller: Caller,
    /// Method, target and headers.
    pub head: Parts,
    /// Where the request came, if not at the root.
    pub base_path: Option<Arc<str>>,
    /// The parameters in the path.
    pub parameters: PathParameters,
    /// When the request arrived.
    pub started: Instant,
    /// Its id in the log and in the answer.
    pub request_id: RequestId,
    body: Incoming,
    is_body_complete: bool,
}

/// The parameters in the path of a request, decoded once.
#[derive(Debug, Default)]
pub struct PathParameters(Vec<(&'static str, Result<String, DecodeError>)>);

impl PathParameters {
    /// Adds a parameter with the raw segment that has its value.
    pub fn push(&mut self, name: &'static str, segment: &str) {
        self.0.push((name, decode_strictly(segment)));
    }

    /// The value of a parameter. Empty if the path of the route does not contain it, or if it is not text.
    pub fn get(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// The value of a parameter that the path of the route contains.
    ///
    /// # Errors
    /// When it is not text that PostgreSQL can be asked for.
    pub fn text(&self, name: &str) -> Result<&str, HttpError> {
        match self.0.iter().find(|(known, _)| *known == name) {
            Some((_, Ok(value))) => Ok(value),
            Some((_, Err(error))) => Err(bad_path(name, error.to_string())),
            None => Ok(""),
        }
    }

    /// The value of a parameter that is a day.
    ///
    /// # Errors
    /// When it is not one in the form `YYYY-MM-DD`.
    pub fn date(&self, name: &str) -> Result<Date, HttpError> {
        let text = self.text(name)?;
        Date::parse_iso(text).ok_or_else(|| {
            let text = truncate_for_message(text);
            bad_path(name, format!("`{text}` is not a day: write YYYY-MM-DD, and a slash in an id as %2F"))
        })
    }
}

fn bad_path(name: &str, problem: String) -> HttpError {
    HttpError::new(ErrorStatus::BAD_REQUEST, "The path cannot be used: see details.")
        .with_details(vec![Problem::new(name, problem)])
}

impl RequestContext {
    /// A request whose body has not been read.
    pub fn new(
        app: Arc<AppState>,
        client: Client,
        started: Instant,
        request_id: RequestId,
        head: Parts,
        body: Incoming,
    ) -> Self {
        Self {
            app,
            client,
            caller: Caller::Anyone,
            head,
            base_path: None,
            parameters: PathParameters::default(),
            started,
            request_id,
            body,
            is_body_complete: false,
        }
    }

    /// Whether the body has been read to its end.
    pub fn is_body_read(&self) -> bool {
        self.is_body_complete || self.body.is_end_stream()
    }

    /// A path of a route as the client knows it.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base_path.as_deref().unwrap_or_default())
    }

    /// The query, without `?`.
    pub fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// Reads the body as a JSON document.
    ///
    /// # Errors
    /// When the body is not JSON, not complete in time, or too large, or is not such a document.
    pub async fn document<T: DeserializeOwned>(&mut self) -> Result<T, HttpError> {
        let app = Arc::clone(&self.app);
        let mut body = self.json_body(&app).await?;
        parse_json(&body.take_bytes(), false)
    }

    /// The account and the address behind a change.
    pub fn origin(&self) -> Origin {
        let actor = self.actor().map(|name| name.to_string());
        Origin { actor, address: self.client.address.to_string(), request_id: self.request_id.to_string() }
    }

    /// Accounts, sessions and tokens.
    ///
    /// # Errors
    /// Without access control. Routes that need it are not served then.
    pub fn access(&self) -> Result<Arc<Access>, HttpError> {
        let control = self.app.access_control.as_ref();
        let access = control.map(|control| Arc::clone(&control.access));
        access.ok_or_else(|| HttpError::new(ErrorStatus::NOT_FOUND, "There is no access control (auth.mode)."))
    }

    /// Whether the client may know how the server is built: with access control, an account of a person or a machine may.
    pub fn may_see_details(&self) -> bool {
        match &self.caller {
            Caller::Anyone => self.app.access_control.is_none(),
            Caller::Account(principal) => principal.permits(Permission::OwnAccount),
        }
    }

    /// The name of the account that sent the request; none without access control.
    pub fn actor(&self) -> Option<Arc<str>> {
        self.caller.actor()
    }

    /// Which records the caller may see.
    pub fn visibility(&self) -> Visibility {
        self.caller.visibility()
    }

    /// Reads the body as a valid record.
    ///
    /// # Errors
    /// When the body is not JSON, not complete in time, or too large, or has problems, which are all in the answer.
    pub async fn record(&mut self) -> Result<NewRecord, HttpError> {
        let app = Arc::clone(&self.app);
        let is_lenient = app.api.lenient_create;
        let mut body = self.json_body(&app).await?;
        let request: CreateRequest = parse_json(&body.take_bytes(), is_lenient)?;
        drop(body);
        // A name that has to be looked up is rare: in a box, so that other creates do not pay for the room of the look-up.
        let record = if is_lenient {
            let unnamed = request.check_lenient().map_err(invalid)?;
            Box::pin(app.attendance.with_name(unnamed)).await?
        } else if request.lacks_name() {
            Box::pin(named_by_directory(&app, request)).await?
        } else {
            request.check().map_err(invalid)?
        };
        match app.attendance.rules().check_status(&record.status) {
            None => Ok(record),
            Some(problem) => Err(invalid(vec![problem])),
        }
    }

    /// Reads the body as a valid correction of the record of an employee and day.
    ///
    /// # Errors
    /// When the body is not JSON, not complete in time, or too large, or has problems, which are all in the answer.
    pub async fn correction(&mut self, id: String, date: Date) -> Result<Correction, HttpError> {
        let app = Arc::clone(&self.app);
        let mut body = self.json_body(&app).await?;
        let request: CorrectionRequest = parse_json(&body.take_bytes(), false)?;
        request.check(id, date, app.attendance.rules()).map_err(|problems| invalid_document("correction", problems))
    }

    /// Reads the whole body, which must be JSON by its content type.
    async fn json_body<'a>(&mut self, app: &'a AppState) -> Result<BudgetedBody<'a>, HttpError> {
        if is_json(&self.head.headers) {
            return self.body(app).await;
        }
        Err(HttpError::new(
            ErrorStatus::UNSUPPORTED_MEDIA_TYPE,
            "The body must be JSON and say so: send it with `Content-Type: application/json`.",
        ))
    }

    /// Reads the whole body.
    async fn body<'a>(&mut self, app: &'a AppState) -> Result<BudgetedBody<'a>, HttpError> {
        let limits = app.limits();
        let limit = limits.max_body;
        let announced = self.body.size_hint();
        if announced.lower() > limit as u64 {
            return Err(too_large(limit));
        }
        // Reading the part that is not counted first would only cost memory.
        if app.body_budget.is_exhausted_for(announced.lower(), limits.body_budget) {
            return Err(HttpError::unavailable(BODIES_BUSY));
        }
        let max_size = announced.exact().map_or(limit, |announced| announced as usize);
        let body = app.body_budget.body(limits.body_budget, max_size, limits.max_head);
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
            if body.size() + data.len() > limit {
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

/// Reads a whole body as a valid record.
///
/// # Errors
/// When it is not one.
#[cfg(any(test, fuzzing))]
pub fn parse_record(body: &[u8]) -> Result<NewRecord, HttpError> {
    parse_json::<CreateRequest>(body, false)?.check().map_err(invalid)
}

/// The record of a request without a name, with that of the directory.
async fn named_by_directory(app: &AppState, request: CreateRequest) -> Result<NewRecord, HttpError> {
    // If there are further problems, the missing name is reported with them.
    let Ok(unnamed) = request.clone().check_lenient() else { return request.check().map_err(invalid) };
    let UnnamedRecord { id, name, status, date } = app.attendance.with_directory_name(unnamed).await?;
    match name {
        Some(name) => Ok(NewRecord { id, name, status, date }),
        None => request.check().map_err(invalid),
    }
}

fn invalid(problems: Vec<Problem>) -> HttpError {
    invalid_document("record", problems)
}

/// The answer to a body that is JSON, but not a valid `noun`.
pub fn invalid_document(noun: &str, problems: Vec<Problem>) -> HttpError {
    HttpError::new(ErrorStatus::BAD_REQUEST, format!("The {noun} is not valid: see details."))
        .with_title(VALIDATION_ERROR)
        .with_details(problems)
}

/// Parses a body, perhaps with numbers as texts.
fn parse_json<T: DeserializeOwned>(body: &[u8], has_numbers_as_texts: bool) -> Result<T, HttpError> {
    let unusable = |problem: String| {
        HttpError::new(ErrorStatus::BAD_REQUEST, format!("The body {problem}."))
            .with_title(VALIDATION_ERROR)
            .with_details(vec![Problem::new("body", problem)])
    };
    if body.is_empty() {
        return Err(unusable("is empty: at byte 0 a JSON object must begin".to_owned()));
    }
    let text = encoding::text(body).map_err(|error| unusable(error.to_string()))?;
    let json = if has_numbers_as_texts { attendance::quote_numbers(&text) } else { Cow::Borrowed(&*text) };
    serde_json::from_str(&json).map_err(|error| unusable(format!("is not JSON that can be read: {error}")))
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
    use crate::attendance::json::Charset;

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
        let answer =
            |body: &[u8]| String::from_utf8(parse_record(body).unwrap_err().body("id", Charset::Ascii)).unwrap();
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
