//! The wire types of the health of the service.

use serde::Serialize;
use utoipa::ToSchema;

use crate::attendance::{BackupReport, Health, StorageHealth};

/// The state without reasons, for clients without credentials if there is access control.
#[derive(Debug, Serialize)]
pub struct HealthSummary {
    /// The sentence of `/health`.
    pub message: &'static str,
    /// `up` or `down`.
    pub postgresql: &'static str,
    /// `up`, `down` or, if no cache is configured, `off`.
    pub redis: &'static str,
    /// `up` or `down`: the state of PostgreSQL.
    pub status: &'static str,
}

/// The state of the service and of its dependencies.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthDetail {
    /// The sentence of `/health`.
    pub message: &'static str,
    /// `up` or `down`.
    #[schema(example = "up")]
    pub postgresql: &'static str,
    /// `up`, `down` or, if no cache is configured, `off`.
    #[schema(example = "up")]
    pub redis: &'static str,
    /// `up` or `down`: the state of PostgreSQL.
    #[schema(example = "up")]
    pub status: &'static str,
    /// Version of the appliance.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// Seconds since the appliance started.
    pub uptime_seconds: u64,
    /// The backups. Absent without a schedule (`backup.schedule`) and without a copy of the WAL (`backup.wal`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub backup: Option<BackupDetail>,
    /// The state of each dependency.
    pub details: Details,
}

/// The backups of the schedule, and the copy of the WAL.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupDetail {
    /// The end of the last backup that succeeded (RFC 3339). Null if there is none.
    #[schema(format = DateTime, example = "2026-01-31T03:15:04Z")]
    last_success: Option<String>,
    /// The last backup that failed (RFC 3339). Null if there is none.
    #[schema(format = DateTime)]
    last_failure: Option<String>,
    /// Why the last backup failed, is overdue, or cannot be restored, or what is wrong with the copy of the WAL. Null if all is well.
    reason: Option<String>,
}

impl BackupDetail {
    /// Describes what is known.
    pub fn new(report: BackupReport) -> Self {
        Self {
            last_success: report.last_success.map(|time| time.to_string()),
            last_failure: report.last_failure.map(|time| time.to_string()),
            reason: report.reason,
        }
    }
}

/// The state of each dependency.
#[derive(Debug, Serialize, ToSchema)]
pub struct Details {
    /// The database.
    pub postgresql: DependencyDetail,
    /// Absent if no cache is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub redis: Option<DependencyDetail>,
    /// The disk of the database. Absent if the database is external.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub disk: Option<DiskDetail>,
}

/// The state of the disk of the database.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiskDetail {
    /// `ok`, `full` or `read-only`. Unless it is `ok`, a create is answered with 503; reads are answered.
    #[schema(example = "ok")]
    state: &'static str,
    /// When it entered this state (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T08:30:00.123456Z")]
    since: String,
    /// Bytes that the database may still use.
    #[schema(example = 52_428_800_000_u64)]
    free_bytes: u64,
    /// Files that it may still make. Absent if the file system has no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3_000_000)]
    free_inodes: Option<u64>,
    /// Why the state is not `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

impl DiskDetail {
    /// Describes the last measurement.
    pub fn new(StorageHealth { report, since }: StorageHealth) -> Self {
        let (problem, reason) = report.problem.unzip();
        Self {
            state: problem.map_or("ok", |problem| problem.as_str()),
            since: format!("{since:.6}"),
            free_bytes: report.free_bytes,
            free_inodes: report.free_inodes,
            reason,
        }
    }
}

/// The state of one dependency.
#[derive(Debug, Serialize, ToSchema)]
pub struct DependencyDetail {
    /// Whether the appliance runs it.
    managed: bool,
    /// When it entered this state (RFC 3339).
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
    /// Describes the result of the last check.
    pub fn new(managed: bool, health: Health) -> Self {
        Self {
            managed,
            since: format!("{:.6}", health.since),
            latency_ms: (health.latency.as_secs_f64() * 1e6).round() / 1e3,
            reason: health.reason,
        }
    }
}
