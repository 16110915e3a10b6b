//! `GET /api/v1/attendance/health` and `/health/detail`
//!
//! Policy: the service is healthy when PostgreSQL is usable. Without Redis it is slower, not down. What is not healthy
//! is answered with 400, as the service this one replaces does: load balancers are set to it.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::attendance::{Health, json};
use crate::http::error::HttpError;
use crate::http::request::RequestContext;
use crate::http::response::{Message, Reply};

const HEALTHY: &str = "Attendance API is running fine and ready to serve requests";
const UNHEALTHY: &str = "Attendance API is not healthy, please check logs";

/// The service and what it depends on.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthDetail {
    /// The sentence of `/health`.
    message: &'static str,
    /// `up` or `down`.
    #[schema(example = "up")]
    postgresql: &'static str,
    /// `up`, `down` or, where no cache is configured, `off`.
    #[schema(example = "up")]
    redis: &'static str,
    /// `up` or `down`: as PostgreSQL.
    #[schema(example = "up")]
    status: &'static str,
    /// Version of the appliance.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Seconds since the appliance started.
    uptime_seconds: u64,
    /// More on each dependency.
    details: Details,
}

/// More on each dependency.
#[derive(Debug, Serialize, ToSchema)]
struct Details {
    postgresql: DependencyDetail,
    /// Absent where no cache is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    redis: Option<DependencyDetail>,
}

/// One dependency.
#[derive(Debug, Serialize, ToSchema)]
struct DependencyDetail {
    /// Whether the appliance runs it itself.
    managed: bool,
    /// When it entered the state it is in (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T08:30:00.123456Z")]
    since: String,
    /// How long the last check took, in milliseconds; a check takes at most 1000.
    #[schema(example = 0.412)]
    latency_ms: f64,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

impl DependencyDetail {
    fn new(managed: bool, health: Health) -> Self {
        Self {
            managed,
            since: format!("{:.6}", health.since),
            latency_ms: (health.latency.as_secs_f64() * 1e6).round() / 1e3,
            reason: health.reason,
        }
    }
}

/// Whether the service is healthy
#[utoipa::path(
    get,
    path = "/api/v1/attendance/health",
    tag = "health",
    operation_id = "health",
    responses(
        (status = 200, description = "Healthy", body = Message,
            example = json!({"message": "Attendance API is running fine and ready to serve requests"})),
        (status = 400, description = "PostgreSQL is not usable", body = Message,
            example = json!({"message": "Attendance API is not healthy, please check logs"})),
    )
)]
pub async fn health(context: &RequestContext) -> Result<Reply, HttpError> {
    static BODIES: LazyLock<[Bytes; 2]> =
        LazyLock::new(|| [false, true].map(|up| json::line(&Message { message: verdict(up).1 }).into()));
    let up = context.app.health.postgresql.is_up().await;
    Ok(Reply::uncacheable_json(verdict(up).0, BODIES[usize::from(up)].clone()))
}

/// Which dependency is up, which is down, why and since when
#[utoipa::path(
    get,
    path = "/api/v1/attendance/health/detail",
    tag = "health",
    operation_id = "healthDetail",
    responses(
        (status = 200, description = "Healthy; Redis alone may be down", body = HealthDetail),
        (status = 400, description = "PostgreSQL is not usable", body = HealthDetail),
    )
)]
pub async fn detail(context: &RequestContext) -> Result<Reply, HttpError> {
    let board = &context.app.health;
    let (postgresql, redis) = tokio::join!(board.postgresql.check(), async {
        match &board.redis {
            Some(redis) => Some((redis.managed, redis.check().await)),
            None => None,
        }
    });
    let (status, message) = verdict(postgresql.up);
    let body = HealthDetail {
        message,
        postgresql: word(postgresql.up),
        redis: redis.as_ref().map_or("off", |(_, health)| word(health.up)),
        status: word(postgresql.up),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: context.app.started.elapsed().as_secs(),
        details: Details {
            postgresql: DependencyDetail::new(board.postgresql.managed, postgresql),
            redis: redis.map(|(managed, health)| DependencyDetail::new(managed, health)),
        },
    };
    Ok(Reply::value(status, &body))
}

fn verdict(up: bool) -> (StatusCode, &'static str) {
    if up { (StatusCode::OK, HEALTHY) } else { (StatusCode::BAD_REQUEST, UNHEALTHY) }
}

fn word(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}
