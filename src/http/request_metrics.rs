//! Where requests are counted.
//!
//! Policy: the handles of a method, route and status are found once and kept: to find them by their labels costs more
//! than to count. What is rare is looked up each time, so that the table stays small.

use std::sync::OnceLock;

use hyper::{Method, StatusCode};
use prometheus::{Histogram, IntCounter};

use super::router;
use crate::telemetry::metrics::Metrics;

/// The methods that have handles of their own.
const METHODS: [&str; 3] = ["GET", "POST", "HEAD"];
/// The statuses that have.
const STATUSES: [u16; 6] = [200, 304, 400, 404, 409, 503];

/// The handles found so far.
#[derive(Debug)]
pub struct RequestMetrics([[[OnceLock<Handles>; STATUSES.len()]; METHODS.len()]; router::LABELS]);

#[derive(Debug)]
struct Handles {
    duration: Histogram,
    requests: IntCounter,
}

impl Handles {
    fn find(metrics: &Metrics, method: &str, route: &str, status: u16) -> Self {
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            duration: metrics.request_duration.with_label_values(&[method, route, code.as_str()]),
            requests: metrics.requests.with_label_values(&[method, code.as_str()]),
        }
    }

    fn observe(&self, seconds: f64) {
        self.duration.observe(seconds);
        self.requests.inc();
    }
}

impl RequestMetrics {
    /// With no handle found yet.
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new()))))
    }

    /// Counts a request that took so many seconds.
    pub fn observe(&self, metrics: &Metrics, method: &'static str, route: router::Label, status: u16, seconds: f64) {
        let method_at = METHODS.iter().position(|known| *known == method);
        let status_at = STATUSES.iter().position(|known| *known == status);
        let find = || Handles::find(metrics, method, route.text(), status);
        match method_at.zip(status_at) {
            Some((method_at, status_at)) => {
                self.0[route.number()][method_at][status_at].get_or_init(find).observe(seconds);
            }
            None => find().observe(seconds),
        }
    }
}

/// The method as a label: clients may invent others, labels may not grow with them.
pub fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_share_a_label() {
        assert_eq!(method_label(&Method::PATCH), "PATCH");
        assert_eq!(method_label(&Method::from_bytes(b"X-17").unwrap()), "OTHER");
    }

    #[test]
    fn every_request_is_counted_under_its_own_labels() {
        let (metrics, request_metrics) = (Metrics::new("v", "p").unwrap(), RequestMetrics::new());
        let health = router::find(&Method::GET, "/api/v1/attendance/health").label();
        for (method, route, status) in
            [("GET", health, 200), ("GET", health, 200), ("PUT", router::UNMATCHED, 405), ("GET", health, 499)]
        {
            request_metrics.observe(&metrics, method, route, status, 0.001);
        }
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        for line in [
            "flask_http_request_total{method=\"GET\",status=\"200\"} 2",
            "flask_http_request_total{method=\"PUT\",status=\"405\"} 1",
            "flask_http_request_duration_seconds_count{method=\"GET\",path=\"/api/v1/attendance/health\",status=\"200\"} 2",
            "flask_http_request_duration_seconds_count{method=\"GET\",path=\"/api/v1/attendance/health\",status=\"499\"} 1",
            "flask_http_request_duration_seconds_count{method=\"PUT\",path=\"unmatched\",status=\"405\"} 1",
        ] {
            assert!(text.contains(line), "{line}");
        }
    }
}
