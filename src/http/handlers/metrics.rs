//! The metrics of the process, for Prometheus.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};

use crate::http::error::{Cause, HttpError};
use crate::http::request::RequestContext;
use crate::http::response::{Body, Reply};
use crate::telemetry::metrics::CONTENT_TYPE;

/// Metrics for Prometheus
///
/// All metrics of the process, in the text format of Prometheus.
#[utoipa::path(
    get,
    path = "",
    operation_id = "metrics",
    responses((status = 200, description = "All metrics", body = String, content_type = "text/plain; version=0.0.4; charset=utf-8",
        example = "# HELP attendance_api Attendance API version\n# TYPE attendance_api gauge\nattendance_api{version=\"0.1.0\"} 1\n"))
)]
pub fn metrics(context: &RequestContext) -> Result<Reply, HttpError> {
    let text = context.app.metrics.render().map_err(|error| HttpError::bug(Cause::Metrics(error)))?;
    let mut reply = Reply::new(StatusCode::OK, HeaderValue::from_static(CONTENT_TYPE), Body::full(text));
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}
