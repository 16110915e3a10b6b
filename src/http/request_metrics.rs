//! Counts requests and measures how long they take, by method, route and status.
//!
//! Policy: resolving a metric from its label values costs more than counting, so the metrics of the common methods and
//! statuses are resolved once per route and kept. Rare combinations are resolved each time, so that the table stays small.
//! Label values come from the route table and from fixed lists, never from a client: their number is bounded.

use std::sync::OnceLock;

use hyper::{Method, StatusCode};
use prometheus::{Histogram, IntCounter};

use crate::telemetry::metrics::Metrics;

/// The methods whose metrics are kept.
const COMMON_METHODS: [&str; 3] = ["GET", "POST", "HEAD"];
/// The statuses whose metrics are kept.
const COMMON_STATUSES: [u16; 6] = [200, 304, 400, 404, 409, 503];

/// Names a route in the log and in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteLabel {
    path: &'static str,
    /// Position in the table of resolved metrics.
    index: usize,
    is_counted: bool,
    hides_target: bool,
}

impl RouteLabel {
    /// Stands for every request that matches no route.
    pub const UNMATCHED: Self = Self { path: "unmatched", index: 0, is_counted: true, hides_target: false };

    /// Labels the route at `position` in the route table. `hides_target` says that the log must not have the target of a request.
    pub const fn new(path: &'static str, position: usize, is_counted: bool, hides_target: bool) -> Self {
        Self { path, index: position + 1, is_counted, hides_target }
    }

    /// Whether the log has the path template in place of the target, which names a person that must be forgotten.
    pub fn hides_target(self) -> bool {
        self.hides_target
    }

    /// The path template of the route, or `unmatched`.
    pub fn path(self) -> &'static str {
        self.path
    }
}

/// The metrics resolved so far: by route, then method, then status.
#[derive(Debug)]
pub struct RequestMetrics(Vec<[[OnceLock<ResolvedMetrics>; COMMON_STATUSES.len()]; COMMON_METHODS.len()]>);

#[derive(Debug)]
struct ResolvedMetrics {
    duration: Histogram,
    requests: IntCounter,
}

impl ResolvedMetrics {
    fn resolve(metrics: &Metrics, method: &str, route: &str, status: u16) -> Self {
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
    /// Makes room for a route table of `routes` rows, and for the requests that match none.
    pub fn new(routes: usize) -> Self {
        let row = || std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new()));
        Self(std::iter::repeat_with(row).take(routes + 1).collect())
    }

    /// Counts a request that took `seconds`, unless its route is not counted.
    pub fn observe(&self, metrics: &Metrics, method: &'static str, route: RouteLabel, status: u16, seconds: f64) {
        if !route.is_counted {
            return;
        }
        let resolve = || ResolvedMetrics::resolve(metrics, method, route.path, status);
        let method_index = COMMON_METHODS.iter().position(|common| *common == method);
        let status_index = COMMON_STATUSES.iter().position(|common| *common == status);
        let kept = match (self.0.get(route.index), method_index, status_index) {
            (Some(row), Some(method_index), Some(status_index)) => Some(&row[method_index][status_index]),
            _ => None,
        };
        match kept {
            Some(kept) => kept.get_or_init(resolve).observe(seconds),
            None => resolve().observe(seconds),
        }
    }
}

/// The method as a label value; methods that clients invent share one value.
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
    fn a_request_is_counted_under_its_method_route_and_status() {
        let (metrics, request_metrics) = (Metrics::new("v", "p").unwrap(), RequestMetrics::new(2));
        let (health, uncounted) =
            (RouteLabel::new("/health", 0, true, false), RouteLabel::new("/metrics", 1, false, false));
        for (method, route, status) in [
            ("GET", health, 200),
            ("GET", health, 200),
            ("PUT", RouteLabel::UNMATCHED, 405),
            ("GET", health, 499),
            ("GET", uncounted, 200),
        ] {
            request_metrics.observe(&metrics, method, route, status, 0.001);
        }
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        for line in [
            "flask_http_request_total{method=\"GET\",status=\"200\"} 2",
            "flask_http_request_total{method=\"PUT\",status=\"405\"} 1",
            "flask_http_request_duration_seconds_count{method=\"GET\",path=\"/health\",status=\"200\"} 2",
            "flask_http_request_duration_seconds_count{method=\"GET\",path=\"/health\",status=\"499\"} 1",
            "flask_http_request_duration_seconds_count{method=\"PUT\",path=\"unmatched\",status=\"405\"} 1",
        ] {
            assert!(text.contains(line), "{line}");
        }
        assert!(!text.contains("path=\"/metrics\""));
    }
}
