//! `GET /openapi.json`, `/apispec_1.json` and `/apidocs/`: the API described, for programs and for people.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};

use crate::http::error::{ErrorStatus, HttpError};
use crate::http::request::RequestContext;
use crate::http::response::{Body, Reply};
use crate::http::swagger::{self, File};

/// What Swagger UI needs, all of it from here: its styles are partly in the page, its icons are data URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// This description
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1; `/apispec_1.json` answers the same", body = Object, content_type = "application/json"))
)]
pub fn openapi(context: &RequestContext) -> Reply {
    let mut reply = Reply::json(StatusCode::OK, Body::full(context.app.openapi.clone()));
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}

/// The page.
pub fn page() -> Result<Reply, HttpError> {
    serve(swagger::file("index.html"))
}

/// A file of the page.
pub fn file(context: &RequestContext) -> Result<Reply, HttpError> {
    serve(swagger::file(&context.file))
}

/// The icon, for browsers that ask without being told.
pub fn favicon() -> Result<Reply, HttpError> {
    serve(swagger::file("icon.svg"))
}

fn serve(file: Option<File>) -> Result<Reply, HttpError> {
    let file = file.ok_or_else(|| HttpError::new(ErrorStatus::NOT_FOUND, "The documentation has no such file."))?;
    let mut reply = Reply::new(StatusCode::OK, file.content_type, Body::full(file.bytes));
    reply.headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    reply.headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(reply)
}
