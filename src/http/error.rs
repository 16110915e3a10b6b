//! Errors as the client receives them.
//!
//! Policy: one shape, always JSON: `{"error":TITLE,"message":SENTENCE,"details":[{"field","problem"}]}`. What is sent and what is
//! logged are separate: the [`Cause`] of an error never reaches a client. No cache may keep an error. An error cannot have a status of success:
//! [`ErrorStatus`] has no such value.

use std::fmt::Display;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, ETAG, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use super::response::{Body, Reply};
use super::schema::ErrorBody;
use crate::access::{self, Permission, Principal, Role};
use crate::attendance::json::{self, Charset};
use crate::attendance::{self, Problem};

/// The title of every error in the content of a record.
pub const VALIDATION_ERROR: &str = "Validation Error";

/// The answer if a list cannot be read because of the other lists. Its example in the OpenAPI document is equal.
pub const LISTS_BUSY: &str =
    "Too many lists are being read (server.max_lists). Try again shortly, or ask for a page with `limit=`.";

/// The answer to a create for an employee that a strict directory does not have.
pub const UNKNOWN_EMPLOYEE: &str =
    "This employee is not in the directory, and the server accepts records of its employees only (employees.strict).";

/// The answer to the removal of an employee from a strict directory.
pub const EMPLOYEE_HAS_RECORDS: &str =
    "This employee has records, and the directory must have every employee with records (employees.strict).";

/// The answer if a group of a summary does not fit into memory.
pub const SUMMARY_TOO_LARGE: &str =
    "A group of this summary has too many different statuses: choose a status, an employee or fewer days.";

/// The status of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorStatus(StatusCode);

impl ErrorStatus {
    /// The request is not valid.
    pub const BAD_REQUEST: Self = Self(StatusCode::BAD_REQUEST);
    /// The request shows no valid credentials.
    pub const UNAUTHORIZED: Self = Self(StatusCode::UNAUTHORIZED);
    /// The credentials do not allow the request.
    pub const FORBIDDEN: Self = Self(StatusCode::FORBIDDEN);
    /// Too many requests of the client have failed.
    pub const TOO_MANY_REQUESTS: Self = Self(StatusCode::TOO_MANY_REQUESTS);
    /// The record or resource does not exist.
    pub const NOT_FOUND: Self = Self(StatusCode::NOT_FOUND);
    /// The resource has other methods.
    pub const METHOD_NOT_ALLOWED: Self = Self(StatusCode::METHOD_NOT_ALLOWED);
    /// The body was not complete in time.
    pub const REQUEST_TIMEOUT: Self = Self(StatusCode::REQUEST_TIMEOUT);
    /// The record exists already.
    pub const CONFLICT: Self = Self(StatusCode::CONFLICT);
    /// The record is not in the state that the request requires.
    pub const PRECONDITION_FAILED: Self = Self(StatusCode::PRECONDITION_FAILED);
    /// The day is closed to changes.
    pub const LOCKED: Self = Self(StatusCode::LOCKED);
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
    /// An operation on accounts, sessions or tokens failed.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The connection or the framing of the body failed.
    #[error("a request's body could not be read: {0}")]
    Body(#[source] hyper::Error),
    /// A bug: a metric has no text form.
    #[error("a metric cannot be rendered: {0}")]
    Metrics(#[source] prometheus::Error),
    /// A form of a file of the documentation page could not be made, for want of memory or of a thread.
    #[error("a form of a file cannot be made: {0}")]
    StaticFile(#[source] std::io::Error),
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
    /// The current entity tag of what the request wanted to change.
    etag: Option<Box<Bytes>>,
    /// The seconds after which the request can be sent again.
    retry_after: Option<u32>,
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
            etag: None,
            retry_after: (status == ErrorStatus::UNAVAILABLE).then_some(1),
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

    /// A request without the credentials that it needs, or whose credentials are malformed.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(ErrorStatus::UNAUTHORIZED, message)
    }

    /// A request whose credentials are unknown, expired or revoked.
    pub fn invalid_credential() -> Self {
        Self::unauthenticated("The session or token is not valid: it may be mistyped, expired or revoked.")
    }

    /// A JSON document that is valid but for one field.
    pub fn invalid_field(field: &str, problem: &dyn Display) -> Self {
        Self::new(ErrorStatus::BAD_REQUEST, "The request is not valid: see details.")
            .with_title(VALIDATION_ERROR)
            .with_details(vec![Problem::new(field, problem.to_string())])
    }

    /// Checks that an account has a permission.
    ///
    /// # Errors
    /// A 403 that names the role that is needed, if it has not.
    pub fn unless_permitted(principal: &Principal, permission: Permission) -> Result<(), Self> {
        if principal.permits(permission) {
            return Ok(());
        }
        if principal.is_unlinked() && principal.role.permits(permission) {
            return Err(Self::forbidden(
                "The role `employee` reads the records of one employee, and the account of these credentials is linked to none: \
                 an admin links it (`employee_id`).",
            ));
        }
        let needed = permission.least_role().map_or("", Role::as_str);
        let role = principal.role;
        Err(Self::forbidden(format!("This needs the role `{needed}`; the role of these credentials is `{role}`.")))
    }

    /// A request that the credentials do not allow.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorStatus::FORBIDDEN, message)
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
    pub fn body(&self, request_id: &str, charset: Charset) -> Vec<u8> {
        let bug;
        let message = if self.status == ErrorStatus::INTERNAL {
            bug = format!("The server made a mistake. Its log has the reason under the request id {request_id}.");
            &bug
        } else {
            &self.message
        };
        json::line(&ErrorBody { error: self.title, message, details: &self.details }, charset)
    }

    /// The answer.
    pub fn into_reply(self, request_id: &str, charset: Charset) -> Reply {
        let body = Body::full(self.body(request_id, charset));
        let mut reply = Reply::json(self.status(), body);
        reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // The names of methods always fit a header.
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            reply.headers.insert(ALLOW, allow);
        }
        if let Some(etag) = self.etag.and_then(|etag| HeaderValue::from_maybe_shared(*etag).ok()) {
            reply.headers.insert(ETAG, etag);
        }
        if let Some(seconds) = self.retry_after {
            reply.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == ErrorStatus::UNAUTHORIZED {
            reply.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
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
            attendance::Error::NotFound => Self::new(ErrorStatus::NOT_FOUND, "There is no such record."),
            attendance::Error::Changed(etag) => Self {
                etag: Some(Box::new(etag)),
                ..Self::new(
                    ErrorStatus::PRECONDITION_FAILED,
                    "The record has another entity tag than `If-Match` requires (a weak tag never matches). The header `ETag` \
                     has the current one: read the record, and decide again.",
                )
            },
            attendance::Error::Closed(first_open) => Self::new(
                ErrorStatus::LOCKED,
                format!("Records before {first_open} are closed to changes (attendance.locked_before)."),
            ),
            attendance::Error::Unavailable(ref reason) => Self::unavailable(reason.explanation()).with_cause(error),
            attendance::Error::ListsBusy => Self::unavailable(LISTS_BUSY),
            attendance::Error::UnknownEmployee => Self::new(ErrorStatus::BAD_REQUEST, UNKNOWN_EMPLOYEE)
                .with_title(VALIDATION_ERROR)
                .with_details(vec![Problem::new(
                    "id",
                    "is not in the directory: add the employee first (PUT /api/v1/attendance/employees/{id})",
                )]),
            attendance::Error::EmployeeHasRecords => Self::new(ErrorStatus::CONFLICT, EMPLOYEE_HAS_RECORDS),
            attendance::Error::SummaryTooLarge => Self::new(ErrorStatus::BAD_REQUEST, SUMMARY_TOO_LARGE),
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

impl From<access::Error> for HttpError {
    fn from(error: access::Error) -> Self {
        use access::Error;
        let status = match &error {
            Error::InvalidCredentials => ErrorStatus::UNAUTHORIZED,
            Error::WrongPassword | Error::RoleExceeded { .. } => ErrorStatus::FORBIDDEN,
            Error::Throttled(_) => ErrorStatus::TOO_MANY_REQUESTS,
            Error::UsernameTaken(_)
            | Error::LastAdmin(_)
            | Error::TooManyTokens(_)
            | Error::TokenTooDeep
            | Error::EmployeeUnlinked
            | Error::AccountDisabled(_) => ErrorStatus::CONFLICT,
            Error::UnknownAccount(_) | Error::UnknownSession | Error::UnknownToken => ErrorStatus::NOT_FOUND,
            Error::Busy | Error::Unconfirmed | Error::Unavailable(_) => ErrorStatus::UNAVAILABLE,
            Error::Rejected(_) | Error::System(_) => return Self::bug(error),
            Error::Password(problem) => return Self::invalid_field("password", problem),
            Error::Username(problem) => return Self::invalid_field("username", problem),
            Error::Field { field, problem } => return Self::invalid_field(field, problem),
            Error::TokenRole(_) => return Self::invalid_field("role", &error),
            Error::EmployeeMissing => return Self::invalid_field("employee_id", &error),
            Error::Expired => return Self::invalid_field("expires_at", &"is not in the future"),
            Error::OutlivesToken => return Self::invalid_field("expires_at", &error),
        };
        if let Error::Unavailable(reason) = &error {
            return Self::unavailable(reason.explanation()).with_cause(error);
        }
        let retry_after = match &error {
            Error::Throttled(wait) => Some(wait.as_secs_f64().ceil() as u32),
            _ => (status == ErrorStatus::UNAVAILABLE).then_some(1),
        };
        Self { retry_after, ..Self::new(status, sentence(&error)) }
    }
}

/// The text of an error as a sentence.
fn sentence(error: &access::Error) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::QueryError;

    fn sent(error: &HttpError) -> String {
        String::from_utf8(error.body("id-1", Charset::Ascii)).unwrap()
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
        let timeout = attendance::Error::from(QueryError::ConnectionTimeout);
        for (unavailable, is_logged) in [(timeout, true), (attendance::Error::ListsBusy, false)] {
            let error = HttpError::from(unavailable);
            assert_eq!((error.cause().is_some(), sent(&error).contains("database")), (is_logged, is_logged));
            let reply = error.into_reply("id-1", Charset::Ascii);
            assert_eq!((reply.status.as_u16(), &reply.headers[RETRY_AFTER]), (503, &HeaderValue::from_static("1")));
        }
    }
}
