//! What a client is told when a request fails.
//!
//! Policy: one shape, always JSON: `{"error":TITLE,"message":SENTENCE,"details":[{"field","problem"}]}`. Two
//! texts are kept apart by type: what is sent, and what is logged; the second never reaches a client. An error
//! cannot have a status that is none: [`ErrorStatus`] has no other values.

use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use utoipa::ToSchema;

use super::response::{Body, Reply};
use crate::attendance::{self, Problem, json};

/// Title of every error of a record's content.
pub const VALIDATION_ERROR: &str = "Validation Error";

/// A status that says that a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorStatus(StatusCode);

impl ErrorStatus {
    /// The request is wrong.
    pub const BAD_REQUEST: Self = Self(StatusCode::BAD_REQUEST);
    /// There is no such thing.
    pub const NOT_FOUND: Self = Self(StatusCode::NOT_FOUND);
    /// The resource knows other methods.
    pub const METHOD_NOT_ALLOWED: Self = Self(StatusCode::METHOD_NOT_ALLOWED);
    /// The client was too slow.
    pub const REQUEST_TIMEOUT: Self = Self(StatusCode::REQUEST_TIMEOUT);
    /// It exists already.
    pub const CONFLICT: Self = Self(StatusCode::CONFLICT);
    /// The body is too large.
    pub const PAYLOAD_TOO_LARGE: Self = Self(StatusCode::PAYLOAD_TOO_LARGE);
    /// The request target is too long.
    pub const URI_TOO_LONG: Self = Self(StatusCode::URI_TOO_LONG);
    /// The body is of another type.
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    /// The head is too large.
    pub const HEAD_TOO_LARGE: Self = Self(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    /// A bug of ours.
    pub const INTERNAL: Self = Self(StatusCode::INTERNAL_SERVER_ERROR);
    /// Not now.
    pub const UNAVAILABLE: Self = Self(StatusCode::SERVICE_UNAVAILABLE);

    /// As HTTP has it.
    pub fn code(self) -> StatusCode {
        self.0
    }
}

/// Why a request failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error, example = json!({
    "error": "Validation Error",
    "message": "The record is not valid: see details.",
    "details": [{"field": "date", "problem": "is required"}]
}))]
pub struct ErrorBody<'a> {
    /// What kind of error, in a few words.
    pub error: &'a str,
    /// What failed and what to do, in a sentence.
    pub message: &'a str,
    /// Everything that is wrong, by field; only where fields are at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<FieldProblem>, required = false)]
    pub details: &'a [Problem],
}

/// One thing that is wrong with one field.
#[derive(Debug, ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "documents the domain's `Problem`, which knows nothing of OpenAPI")]
pub struct FieldProblem {
    /// The field or query parameter; `body` for the whole body. Cut to 64 characters.
    #[schema(max_length = 64)]
    field: String,
    /// What is wrong and what is expected.
    problem: String,
}

/// A request that failed.
#[derive(Debug)]
pub struct HttpError {
    status: ErrorStatus,
    title: &'static str,
    message: String,
    details: Vec<Problem>,
    internal: Option<Box<str>>,
    allow: Option<&'static str>,
    close: bool,
}

impl HttpError {
    /// A error with a sentence for the client; the title is the status's own.
    pub fn new(status: ErrorStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            title: status.code().canonical_reason().unwrap_or("Error"),
            message: message.into(),
            details: Vec::new(),
            internal: None,
            allow: None,
            close: false,
        }
    }

    /// Replaces the title.
    pub fn titled(mut self, title: &'static str) -> Self {
        self.title = title;
        self
    }

    /// Says which fields are at fault.
    pub fn because(mut self, details: Vec<Problem>) -> Self {
        self.details = details;
        self
    }

    /// Adds what only the log is told.
    pub fn logged(mut self, internal: impl Into<String>) -> Self {
        self.internal = Some(internal.into().into_boxed_str());
        self
    }

    /// Ends the connection after the answer.
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Query parameters that cannot be used.
    pub fn bad_query(details: Vec<Problem>) -> Self {
        Self::new(ErrorStatus::BAD_REQUEST, "Some query parameters cannot be used: see details.").because(details)
    }

    /// A method the resource does not know; `allow` lists those it knows.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let message = format!("This resource does not know that method. It knows {allow}.");
        let mut error = Self::new(ErrorStatus::METHOD_NOT_ALLOWED, message);
        error.allow = Some(allow);
        error
    }

    /// Not now, but soon.
    pub fn unavailable(message: &str) -> Self {
        Self::new(ErrorStatus::UNAVAILABLE, message)
    }

    /// The server is stopping.
    pub fn draining() -> Self {
        Self::unavailable("The server is stopping. Send the request again: another instance will answer it.").closing()
    }

    /// A bug of ours: the log has `internal`, the client a way to find it there.
    pub fn bug(internal: impl Into<String>) -> Self {
        Self::new(ErrorStatus::INTERNAL, "").logged(internal)
    }

    /// The error of a request whose head the HTTP parser refused with this status.
    pub fn of_head(status: u16) -> Self {
        match status {
            414 => Self::new(ErrorStatus::URI_TOO_LONG, "The request target is too long."),
            431 => Self::new(ErrorStatus::HEAD_TOO_LARGE, "The request line and headers are too large."),
            _ => Self::new(ErrorStatus::BAD_REQUEST, "The request line or a header is not valid HTTP."),
        }
    }

    /// As it is sent.
    pub fn status(&self) -> StatusCode {
        self.status.code()
    }

    /// What only the log is told.
    pub fn internal(&self) -> Option<&str> {
        self.internal.as_deref()
    }

    /// The body to send; a bug's names the request.
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

    /// The answer to send.
    pub fn into_reply(self, request_id: &str) -> Reply {
        let body = Body::full(self.body(request_id));
        let mut reply = Reply::json(self.status(), body);
        if let Some(allow) = self.allow {
            reply.headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == ErrorStatus::UNAVAILABLE {
            reply.headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.close {
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
                Self::unavailable("The database cannot be used at the moment. Try again shortly.")
                    .logged(error.to_string())
            }
            attendance::Error::Forbidden(_) => Self::new(
                ErrorStatus::BAD_REQUEST,
                "A rule that was added to the database forbids this record; its operator knows which.",
            )
            .titled(VALIDATION_ERROR)
            .logged(error.to_string()),
            attendance::Error::Rejected(_) => Self::bug(error.to_string()),
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
    fn the_shape_is_compact_and_ends_with_a_newline() {
        let error = HttpError::new(ErrorStatus::NOT_FOUND, "There is none.");
        assert_eq!(sent(&error), "{\"error\":\"Not Found\",\"message\":\"There is none.\"}\n");
        let error = error.because(vec![Problem::new("id", "is ü")]);
        assert!(sent(&error).ends_with(",\"details\":[{\"field\":\"id\",\"problem\":\"is \\u00fc\"}]}\n"));
    }

    #[test]
    fn a_bug_is_logged_and_the_client_gets_the_request_id_only() {
        let rejected = "relation=records".parse::<tokio_postgres::Config>().unwrap_err();
        let error = HttpError::from(attendance::Error::Rejected(QueryError::statement(rejected)));
        assert_eq!(error.status(), 500);
        assert!(sent(&error).contains("id-1") && !sent(&error).contains("relation"));
        assert!(error.internal().unwrap().contains("relation"));
    }

    #[test]
    fn an_unavailable_database_asks_to_retry() {
        let busy = attendance::Error::Unavailable(attendance::UnavailableError::TooManyLists);
        let reply = HttpError::from(busy).into_reply("id-1");
        assert_eq!((reply.status.as_u16(), &reply.headers[RETRY_AFTER]), (503, &HeaderValue::from_static("1")));
    }
}
