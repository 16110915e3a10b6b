//! The health of the service and of its dependencies.
//!
//! Policy: the service is healthy if PostgreSQL is usable. Without Redis it is slower, not down; with a full disk it answers reads. An unhealthy service answers
//! with 400, as the Python service does: load balancers are configured for it.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::StatusCode;

use crate::attendance::json::{self, Charset};
use crate::http::error::HttpError;
use crate::http::health_schema::{BackupDetail, DependencyDetail, Details, DiskDetail, HealthDetail, HealthSummary};
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::schema::Message;

const HEALTHY: &str = "Attendance API is running fine and ready to serve requests";
const UNHEALTHY: &str = "Attendance API is not healthy, please check logs";

/// Whether the service is healthy
///
/// The service is healthy if PostgreSQL is usable. Without Redis it is slower, but healthy.
#[utoipa::path(
    get,
    path = "",
    operation_id = "health",
    responses(
        (status = 200, description = "Healthy", body = Message,
            example = json!({"message": "Attendance API is running fine and ready to serve requests"})),
        (status = 400, description = "PostgreSQL is not usable", body = Message,
            example = json!({"message": "Attendance API is not healthy, please check logs"})),
    )
)]
pub async fn health(context: &RequestContext) -> Result<Reply, HttpError> {
    static BODIES: LazyLock<[Bytes; 2]> = LazyLock::new(|| {
        [false, true].map(|up| json::line(&Message { message: verdict(up).1 }, Charset::Ascii).into())
    });
    let up = context.app.health.postgresql.is_up().await;
    Ok(Reply::uncacheable_json(verdict(up).0, BODIES[usize::from(up)].clone()))
}

/// The state of each dependency
///
/// Checks PostgreSQL and Redis, and answers with their states, the reasons, and the time of the last change of each.
#[utoipa::path(
    get,
    path = "",
    operation_id = "healthDetail",
    responses(
        (status = 200, description = "Healthy; Redis may be down", body = HealthDetail),
        (status = 400, description = "PostgreSQL is not usable", body = HealthDetail),
    )
)]
pub async fn detail(context: &RequestContext) -> Result<Reply, HttpError> {
    let dependencies = &context.app.health;
    let (postgresql, redis) = tokio::join!(dependencies.postgresql.check(), async {
        match &dependencies.redis {
            Some(redis) => Some((redis.managed, redis.check().await)),
            None => None,
        }
    });
    let (status, message) = verdict(postgresql.up);
    let redis_word = redis.as_ref().map_or("off", |(_, health)| word(health.up));
    if !context.may_see_details() {
        let postgresql = word(postgresql.up);
        let body = HealthSummary { message, postgresql, redis: redis_word, status: postgresql };
        return Ok(Reply::uncacheable(status, &body));
    }
    let body = HealthDetail {
        message,
        postgresql: word(postgresql.up),
        redis: redis_word,
        status: word(postgresql.up),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: context.app.started.elapsed().as_secs(),
        backup: dependencies.backup.as_ref().map(|backup| BackupDetail::new(backup.report())),
        details: Details {
            postgresql: DependencyDetail::new(dependencies.postgresql.managed, postgresql),
            redis: redis.map(|(managed, health)| DependencyDetail::new(managed, health)),
            disk: dependencies.storage.health().map(DiskDetail::new),
        },
    };
    Ok(Reply::uncacheable_json(status, json::line(&body, context.app.charset()).into()))
}

fn verdict(up: bool) -> (StatusCode, &'static str) {
    if up { (StatusCode::OK, HEALTHY) } else { (StatusCode::BAD_REQUEST, UNHEALTHY) }
}

fn word(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}
