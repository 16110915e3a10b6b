//! Errors as the client receives them.
//!
//! Policy: one shape, always JSON: `{"error":TITLE,"message":SENTENCE,"details":[{"field","problem"}]}`. What is sent and what is
//! logged are separate: the [`Cause`] of an error never reaches a client. No cache may keep an error. An error cannot have a status of success:
//! [`ErrorStatus`] has no such value.

use hyper::StatusCode;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, HeaderValue, RETRY_AFTER};

use super::response::{Body, Reply};
use super::schema::ErrorBody;
use crate::attendance::{self, Problem, json};

/// The title of every error in the content of a record.
pub const VALIDATION_ERROR: &str = "Validation Error";

/// The status of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorStatus(StatusCode);

impl ErrorStatus {
    /// The request is not valid.
    pub const BAD_REQUEST: Self = Self(StatusCode::BAD_REQUEST);
    /// The record or resource does not exist.
    pub const NOT_FOUND: Self = Self(StatusCode::NOT_FOUND);
    /// The resource has other methods.
    pub const METHOD_NOT_ALLOWED: Self = Self(StatusCode::METHOD_NOT_ALLOWED);
    /// The body was not complete in time.
    pub const REQUEST_TIMEOUT: Self = Self(StatusCode::REQUEST_TIMEOUT);
    /// The record exists already.
    pub const CONFLICT: Self = Self(StatusCode::CONFLICT);
    /// The body is too large.
    pub const PAYLOAD_TOO_LARGE: Self = Self(StatusCode::PAYLOAD_TOO_LARGE);
    /// The request target is too long.
    pub const URI_TOO_LONG: Self = Self(StatusCode::URI_TOO_LONG);
    /// The content type of the body is not JSON.
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    /// The head is too large.
    pub const HEAD_TOO_LARGE: Self = Self(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    /// The request expects what the server cannot do.
    pub const EXPECTATION_FAILED: Self = Self(StatusCode::EXPECTATION_FAILED);
    /// A bug of the server.
    pub const INTERNAL: Self = Self(StatusCode::INTERNAL_SERVER_ERROR);
    /// The body has a transfer coding that the server does not know.
    pub const NOT_IMPLEMENTED: Self = Self(StatusCode::NOT_IMPLEMENTED);
    /// The request may succeed a little later.
    pub const UNAVAILABLE: Self = Self(StatusCode::SERVICE_UNAVAILABLE);
    /// The request is of another version of HTTP.
    pub const VERSION_NOT_SUPPORTED: Self = Self(StatusCode::HTTP_VERSION_NOT_SUPPORTED);

    /// The status as a number with its reason phrase.
    pub fn code(self) -> StatusCode {
        self.0
    }
}

/// The cause of an error, for the log only.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The domain could not do what the request asked for.
    #[error(transparent)]
    Attendance(#[from] attendance::Error),
    /// The connection or the framing of the body failed.
    #[error("a request's body could not be read: {0}")]
    Body(#[source] hyper::Error),
    /// A bug: a metric has no text form.
    #[error("a metric cannot be rendered: {0}")]
    Metrics(#[source] prometheus::Error),
    /// A bug: a handler panicked, with this message.
    #[error("a handler panicked: {0}")]
    Panic(String),
}

/// A request that failed, and the answer to it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HttpError {
    status: ErrorStatus,
    title: &'static str,
    message: String,
    details: Vec<Problem>,
    /// In a box, because most errors have none.
    #[source]
    cause: Option<Box<Cause>>,
    allow: Option<String>,
    closes_connection: bool,
}

impl HttpError {
    /// An error with a sentence for the client; its title is the reason phrase of the status.
    pub fn new(status: ErrorStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            title: status.code().canonical_reason().unwrap_or("Error"),
            message: message.into(),
            details: Vec::new(),
            cause: None,
            allow: None,
            closes_connection: false,
        }
    }

    /// Replaces the title.
    pub fn with_title(mut self, title: &'static str) -> Self {
        self.title = title;
        self
    }

    /// Adds the problems of single fields.
    pub fn with_details(mut self, details: Vec<Problem>) -> Self {
        self.details = details;
        self
    }

    /// Adds the cause, which is logged.
    pub fn with_cause(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(Box::new(cause.into()));
        self
    }

    /// Lets the connection be closed after the answer.
    pub fn closing(mut self) -> Self {
        self.closes_connection = true;
        self
    }

    /// A body whose transfer coding is not exactly `chunked`. The connection is closed after the answer, because the end of the body is
    /// not known.
    pub fn unknown_transfer_coding() -> Self {
        Self::new(ErrorStatus::NOT_IMPLEMENTED, "The only transfer coding that is known is `chunked`, once and alone.")
            .closing()
    }

    /// Query parameters that are not valid.
    pub fn bad_query(details: Vec<Problem>) -> Self {
        Self::new(ErrorStatus::BAD_REQUEST, "Some query parameters cannot be used: see details.").with_details(details)
    }

    /// A method that the resource does not have; `allow` lists those it has.
    pub fn method_not_allowed(allow: String) -> Self {
        let message = format!("This resource does not know that method. It knows {allow}.");
        Self { allow: Some(allow), ..Self::new(ErrorStatus::METHOD_NOT_ALLOWED, message) }
    }

    /// A request that may succeed a little later.
    pub fn unavailable(message: &str) -> Self {
        Self::new(ErrorStatus::UNAVAILABLE, message)
    }

    /// A request to a server that is stopping. The connection is closed after the answer.
    pub fn draining() -> Self {
        let message = "The server is stopping. Send the request again: another instance will answer it.";
        Self::unavailable(message).closing()
    }

    /// A bug: the cause is logged, and the client gets the request id with which to find it in the log.
    pub fn bug(cause: impl Into<Cause>) -> Self {
        Self::new(ErrorStatus::INTERNAL, "").with_cause(cause)
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status.code()
    }

    /// The cause, for the log.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_deref()
    }

    /// The body of the answer. The body of a bug names the request.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        let bug;
        let message = if self.status == ErrorStatus::INTERNAL {
            bug = format!("The server made a mistake. Its log has the reason under the request id {request_id}.");
            &bug
        } else {
            &self.message
        };
        json::line(&ErrorBody { error: self.title, message, details: &self.details })
    }

    /// The answer.
    pub fn into_reply(self, request_id: &str) -> Reply {
        let body = Body::full(self.body(request_id));
        let mut reply = Reply::json(self.status(), body);
        reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // The names of methods always fit a header.
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            reply.headers.insert(ALLOW, allow);
        }
        if self.status == ErrorStatus::UNAVAILABLE {
            reply.headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.closes_connection {
            reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }
}

impl From<attendance::Error> for HttpError {
    fn from(error: attendance::Error) -> Self {
        match error {
            attendance::Error::Conflict => Self::new(
                ErrorStatus::CONFLICT,
                "This employee already has a record of that day. A record cannot be replaced.",
            ),
            attendance::Error::Unavailable(_) => {
                Self::unavailable("The database cannot be used at the moment. Try again shortly.").with_cause(error)
            }
            attendance::Error::Forbidden(_) => Self::new(
                ErrorStatus::BAD_REQUEST,
                "A rule that was added to the database forbids this record; its operator knows which.",
            )
            .with_title(VALIDATION_ERROR)
            .with_cause(error),
            attendance::Error::Rejected(_) => Self::bug(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::QueryError;

    fn sent(error: &HttpError) -> String {
        String::from_utf8(error.body("id-1")).unwrap()
    }

    #[test]
    fn an_error_body_is_compact_json_with_a_newline() {
        let error = HttpError::new(ErrorStatus::NOT_FOUND, "There is none.");
        assert_eq!(sent(&error), "{\"error\":\"Not Found\",\"message\":\"There is none.\"}\n");
        let error = error.with_details(vec![Problem::new("id", "is ü")]);
        assert!(sent(&error).ends_with(",\"details\":[{\"field\":\"id\",\"problem\":\"is \\u00fc\"}]}\n"));
    }

    #[test]
    fn the_client_gets_the_request_id_of_a_bug_but_not_its_cause() {
        let rejected = "relation=records".parse::<tokio_postgres::Config>().unwrap_err();
        let error = HttpError::from(attendance::Error::Rejected(QueryError::statement(rejected)));
        assert_eq!(error.status(), 500);
        assert!(sent(&error).contains("id-1") && !sent(&error).contains("relation"));
        assert!(error.cause().unwrap().to_string().contains("relation"));
    }

    #[test]
    fn an_unavailable_database_is_a_503_with_retry_after() {
        let busy = attendance::Error::Unavailable(attendance::UnavailableError::TooManyLists);
        let reply = HttpError::from(busy).into_reply("id-1");
        assert_eq!((reply.status.as_u16(), &reply.headers[RETRY_AFTER]), (503, &HeaderValue::from_static("1")));
    }
}
