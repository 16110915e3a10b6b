//! The description of the API: the OpenAPI document for programs, the Swagger UI page for people.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};

use crate::http::error::{ErrorStatus, HttpError};
use crate::http::request::RequestContext;
use crate::http::response::{Body, Reply};
use crate::http::swagger::{self, File};

/// What Swagger UI needs, all of it from this server: some styles are in the page, and icons are data URLs.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The OpenAPI document
///
/// This document. Swagger UI shows it at `/apidocs/`.
#[utoipa::path(
    get,
    path = "",
    operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1; `/apispec_1.json` returns the same document", body = Object, content_type = "application/json"))
)]
pub fn openapi(context: &RequestContext) -> Result<Reply, HttpError> {
    let mut reply = Reply::json(StatusCode::OK, Body::full(context.app.openapi.clone()));
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(reply)
}

/// Answers with the page.
pub fn page(_: &RequestContext) -> Result<Reply, HttpError> {
    serve(swagger::file("index.html"))
}

/// Answers with a file that the page loads.
pub fn file(context: &RequestContext) -> Result<Reply, HttpError> {
    serve(swagger::file(context.parameters.get("file")))
}

/// Answers with the icon at the path that browsers request by default.
pub fn favicon(_: &RequestContext) -> Result<Reply, HttpError> {
    serve(swagger::file("icon.svg"))
}

fn serve(file: Option<File>) -> Result<Reply, HttpError> {
    let file = file.ok_or_else(|| HttpError::new(ErrorStatus::NOT_FOUND, "The documentation has no such file."))?;
    let mut reply = Reply::new(StatusCode::OK, file.content_type, Body::full(file.bytes));
    reply.headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    reply.headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(reply)
}
