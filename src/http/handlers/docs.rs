//! The description of the API: the OpenAPI document for programs, the Swagger UI page for people.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};

use crate::http::compression;
use crate::http::conditional;
use crate::http::error::{Cause, ErrorStatus, HttpError};
use crate::http::request::RequestContext;
use crate::http::response::{Body, Reply};
use crate::http::swagger::{self, SMALLEST_FIRST};

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
    let documents = &context.app.openapi;
    let document = if context.base_path.is_some() { &documents.below_base_path } else { &documents.at_root };
    let mut reply = Reply::json(StatusCode::OK, Body::full(document.clone()));
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(reply)
}

/// Answers with the page.
pub async fn page(context: &RequestContext) -> Result<Reply, HttpError> {
    serve(context, "index.html").await
}

/// Answers with a file that the page loads.
pub async fn file(context: &RequestContext) -> Result<Reply, HttpError> {
    serve(context, context.parameters.get("file")).await
}

/// Answers with the icon at the path that browsers request by default.
pub async fn favicon(context: &RequestContext) -> Result<Reply, HttpError> {
    serve(context, "icon.svg").await
}

async fn serve(context: &RequestContext, name: &str) -> Result<Reply, HttpError> {
    let file = swagger::file(name)
        .ok_or_else(|| HttpError::new(ErrorStatus::NOT_FOUND, "The documentation has no such file."))?;
    let headers = &context.head.headers;
    let coding = compression::choose(headers, file.size, &SMALLEST_FIRST);
    let content = file.form(coding).await.map_err(|error| HttpError::bug(Cause::StaticFile(error)))?;
    let suffix = coding.map(|coding| format!("-{}", coding.token())).unwrap_or_default();
    let etag = format!("\"{}{suffix}\"", file.hash).into();
    let mut reply = conditional::unless_matched(headers, etag, || {
        Reply::new(StatusCode::OK, HeaderValue::from_static(file.content_type()), Body::full(content))
    });
    compression::add_headers(&mut reply, coding, file.size);
    reply.headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    reply.headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(reply)
}
