//! Declares every metric of the process.
//!
//! Policy: metrics that the Python service exported keep their names, so that its dashboards work; all others begin
//! with `attendance_api_`. Label values come from fixed sets, never from what a client sends, so that the number of series is bounded.

use prometheus::process_collector::ProcessCollector;
use prometheus::{Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::cached_collector::CachedCollector;
use super::metric_registry::MetricRegistry;
use super::text_format;

/// The buckets of the Python service's exporter, in seconds.
const REQUEST_BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Buckets for operations of microseconds to milliseconds, in seconds.
const FINE_BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];

/// Buckets for the number of requests that share one statement.
const BATCH_SIZE_BUCKETS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: MetricRegistry,
    /// Time from the arrival of a request's head to the end of its handling, by method, route and status.
    pub request_duration: HistogramVec,
    /// Requests answered, by method and status.
    pub requests: IntCounterVec,
    /// Requests that failed because of a bug, by method and status.
    pub request_exceptions: IntCounterVec,
    /// Requests in progress.
    pub requests_in_flight: IntGauge,
    /// Open client connections.
    pub connections_open: IntGauge,
    /// Client connections that the server closed or refused, by reason.
    pub connections_closed: IntCounterVec,
    /// Reads answered from the cache.
    pub cache_hits: IntCounter,
    /// Reads answered from the memory of this process; also counted in `cache_hits`.
    pub cache_local_hits: IntCounter,
    /// Reads for which the cache had no valid entry.
    pub cache_misses: IntCounter,
    /// Cache commands that failed, timed out or returned invalid data.
    pub cache_errors: IntCounter,
    /// Changes by other programs that ended every cached answer.
    pub foreign_changes: IntCounter,
    /// Time of one round trip to the cache, by operation (`get`, `set`).
    pub cache_duration: HistogramVec,
    /// Database connections the pool may hold.
    pub pool_size: IntGauge,
    /// Database connections in use.
    pub pool_in_use: IntGauge,
    /// Requests waiting for a database connection.
    pub pool_waiters: IntGauge,
    /// Time a request waited for a database connection.
    pub pool_wait: Histogram,
    /// Time of one statement, by operation (`create`, `search`, `search_all`, `change`, `history`, `ping`).
    pub query_duration: HistogramVec,
    /// Requests that shared one statement, by operation (`create`, `search`).
    pub statement_rows: HistogramVec,
    /// Lists that are being read from the database or sent.
    pub lists_in_progress: IntGauge,
    /// Lists that wait until they may be read.
    pub lists_waiting: IntGauge,
    /// Lists refused because too many were being read.
    pub lists_refused: IntCounter,
    /// Records created.
    pub records_created: IntCounter,
    /// Records corrected, without corrections that changed nothing.
    pub records_corrected: IntCounter,
    /// Records deleted.
    pub records_deleted: IntCounter,
    /// Records erased with the person they belong to.
    pub records_erased: IntCounter,
    /// Creates rejected because the record exists.
    pub record_conflicts: IntCounter,
    /// Attempts to log in, by outcome (`succeeded`, `failed`, `throttled`); no series without access control.
    pub logins: IntCounterVec,
    /// Sessions that have not ended; no series without access control.
    pub sessions_active: IntGaugeVec,
    /// Look-ups of sessions and tokens, by where they were answered (`hit`: Redis or memory; `memory`: memory, also counted as `hit`; `miss`: PostgreSQL);
    /// no series without access control.
    pub credential_lookups: IntCounterVec,
    /// Whether a managed child runs (1) or not (0), by child.
    pub child_up: IntGaugeVec,
    /// Restarts of a managed child since the appliance started, by child.
    pub child_restarts: IntCounterVec,
    /// Time from the last start of a managed child until it was ready, by child.
    pub child_start: GaugeVec,
    /// Bytes that the managed database may still use; no series with an external one.
    pub data_bytes_free: IntGaugeVec,
    /// Files that the managed database may still make; no series if the file system has no such limit.
    pub data_inodes_free: IntGaugeVec,
    /// Whether the disk of the managed database takes records (1) or not (0).
    pub data_writable: IntGaugeVec,
    /// The end of the last backup that succeeded, in seconds since 1970; no series without a schedule and before the first one.
    pub backup_last_success: IntGaugeVec,
    /// Whether the last backup failed (1) or not (0); no series without a schedule.
    pub backup_failed: IntGaugeVec,
    /// Whether the last backup is too old (1) or not (0); no series without a schedule.
    pub backup_overdue: IntGaugeVec,
    /// The size of the last backup; no series without a schedule and before the first one.
    pub backup_bytes: IntGaugeVec,
    /// How long the last backup took; no series without a schedule and before the first one.
    pub backup_duration: GaugeVec,
    /// The end of the last verification that succeeded, in seconds since 1970; no series before the first one.
    pub backup_last_verified: IntGaugeVec,
    /// Whether the last verification failed (1) or not (0); no series without a schedule.
    pub backup_verification_failed: IntGaugeVec,
    /// WAL that is not copied yet; no series without `backup.wal`.
    pub archive_lag: IntGaugeVec,
    /// The size of the archive of WAL; no series without `backup.wal`.
    pub archive_bytes: IntGaugeVec,
    /// The size that it may have: `backup.wal_max_size`, or what its file system has room for; no series without `backup.wal`.
    pub archive_limit: IntGaugeVec,
    /// Whether something is wrong with the copy of the WAL or its base backups (1) or not (0); no series without `backup.wal`.
    pub archive_failed: IntGaugeVec,
    /// How often PostgreSQL removed WAL that was not copied; no series without `backup.wal`.
    pub archive_slots_lost: IntCounterVec,
    /// The first moment that can be restored, in seconds since 1970; no series without `backup.wal` and before the first base.
    pub archive_earliest: GaugeVec,
    /// The last moment that can be restored, in seconds since 1970; no series without `backup.wal` and before the first base.
    pub archive_latest: GaugeVec,
    /// Changesets and migrations applied by this start.
    pub migrations_applied: IntGauge,
    /// Duration of the migrations of this start.
    pub migration_duration: Gauge,
    /// Log lines dropped because standard output could not take them.
    pub log_lines_dropped: IntCounter,
}

impl Metrics {
    /// Declares and registers every metric. `version` and `postgresql` are labels of the build information.
    ///
    /// # Errors
    /// When two metrics have the same name.
    pub fn new(version: &str, postgresql: &str) -> Result<Self, prometheus::Error> {
        let registry = MetricRegistry::default();
        let metrics = Self {
            request_duration: registry.histogram_by(
                "flask_http_request_duration_seconds",
                "HTTP request duration in seconds",
                &REQUEST_BUCKETS,
                &["method", "path", "status"],
            )?,
            requests: registry.counter_by(
                "flask_http_request_total",
                "HTTP requests answered",
                &["method", "status"],
            )?,
            request_exceptions: registry.counter_by(
                "flask_http_request_exceptions_total",
                "HTTP requests that failed by a bug",
                &["method", "status"],
            )?,
            requests_in_flight: registry.gauge("attendance_api_requests_in_flight", "Requests being handled now")?,
            connections_open: registry.gauge("attendance_api_connections_open", "Open client connections")?,
            connections_closed: registry.counter_by(
                "attendance_api_connections_closed_total",
                "Client connections that the server closed or refused because of a limit",
                &["reason"],
            )?,
            cache_hits: registry.counter("attendance_api_cache_hits_total", "Reads answered from the cache")?,
            cache_local_hits: registry.counter(
                "attendance_api_cache_local_hits_total",
                "Reads answered from the cache that needed no body from Redis",
            )?,
            cache_misses: registry
                .counter("attendance_api_cache_misses_total", "Reads the cache had no valid entry for")?,
            cache_errors: registry.counter(
                "attendance_api_cache_errors_total",
                "Cache commands that failed, timed out or answered nonsense",
            )?,
            foreign_changes: registry.counter(
                "attendance_api_foreign_changes_total",
                "Announcements of changes by other programs, each of which ended every cached answer",
            )?,
            cache_duration: registry.histogram_by(
                "attendance_api_cache_duration_seconds",
                "Time of one round trip to the cache",
                &FINE_BUCKETS,
                &["operation"],
            )?,
            pool_size: registry
                .gauge("attendance_api_pool_connections_max", "Database connections the pool may hold")?,
            pool_in_use: registry.gauge("attendance_api_pool_connections_in_use", "Database connections in use")?,
            pool_waiters: registry
                .gauge("attendance_api_pool_waiters", "Requests waiting for a database connection")?,
            pool_wait: registry.histogram(
                "attendance_api_pool_wait_seconds",
                "Time a request waited for a database connection",
                &FINE_BUCKETS,
            )?,
            query_duration: registry.histogram_by(
                "attendance_api_query_duration_seconds",
                "Time of one database statement",
                &FINE_BUCKETS,
                &["operation"],
            )?,
            statement_rows: registry.histogram_by(
                "attendance_api_statement_requests",
                "Requests that shared one statement",
                &BATCH_SIZE_BUCKETS,
                &["operation"],
            )?,
            lists_in_progress: registry.gauge(
                "attendance_api_lists_in_progress",
                "Lists being read from the database or streamed to a client now",
            )?,
            lists_waiting: registry
                .gauge("attendance_api_lists_waiting", "Lists that wait for others to end before they are read")?,
            lists_refused: registry.counter(
                "attendance_api_lists_refused_total",
                "Lists answered with 503 because too many were being read",
            )?,
            records_created: registry.counter("attendance_api_records_created_total", "Records created")?,
            records_corrected: registry.counter(
                "attendance_api_records_corrected_total",
                "Records corrected, without corrections that changed nothing",
            )?,
            records_deleted: registry.counter("attendance_api_records_deleted_total", "Records deleted")?,
            records_erased: registry
                .counter("attendance_api_records_erased_total", "Records erased with the person they belong to")?,
            record_conflicts: registry
                .counter("attendance_api_record_conflicts_total", "Creates refused because the record exists")?,
            logins: registry.counter_by(
                "attendance_api_logins_total",
                "Attempts to log in, by outcome",
                &["outcome"],
            )?,
            sessions_active: registry.gauge_by(
                "attendance_api_sessions_active",
                "Sessions that have not ended, counted once a minute",
                &[],
            )?,
            credential_lookups: registry.counter_by(
                "attendance_api_credential_lookups_total",
                "Look-ups of sessions and tokens, by where they were answered",
                &["result"],
            )?,
            child_up: registry.gauge_by("attendance_api_child_up", "Whether a managed child runs", &["child"])?,
            child_restarts: registry.counter_by(
                "attendance_api_child_restarts_total",
                "Restarts of a managed child",
                &["child"],
            )?,
            child_start: registry.float_gauge_by(
                "attendance_api_child_start_seconds",
                "How long the last start of a managed child took",
                &["child"],
            )?,
            data_bytes_free: registry.gauge_by(
                "attendance_api_data_bytes_free",
                "Bytes that the managed database may still use",
                &[],
            )?,
            data_inodes_free: registry.gauge_by(
                "attendance_api_data_inodes_free",
                "Files that the managed database may still make",
                &[],
            )?,
            data_writable: registry.gauge_by(
                "attendance_api_data_writable",
                "Whether the disk of the managed database takes records",
                &[],
            )?,
            backup_last_success: registry.gauge_by(
                "attendance_api_backup_last_success_timestamp_seconds",
                "When the last scheduled or commanded backup succeeded",
                &[],
            )?,
            backup_failed: registry.gauge_by(
                "attendance_api_backup_failed",
                "Whether the last scheduled backup failed",
                &[],
            )?,
            backup_overdue: registry.gauge_by(
                "attendance_api_backup_overdue",
                "Whether the last backup is older than a day and two hours",
                &[],
            )?,
            backup_bytes: registry.gauge_by("attendance_api_backup_bytes", "Size of the last backup", &[])?,
            backup_duration: registry.float_gauge_by(
                "attendance_api_backup_duration_seconds",
                "How long the last backup took",
                &[],
            )?,
            backup_last_verified: registry.gauge_by(
                "attendance_api_backup_last_verified_timestamp_seconds",
                "When a backup was last restored for a test",
                &[],
            )?,
            backup_verification_failed: registry.gauge_by(
                "attendance_api_backup_verification_failed",
                "Whether the last test restore of a backup failed",
                &[],
            )?,
            archive_lag: registry.gauge_by(
                "attendance_api_wal_archive_lag_bytes",
                "WAL that is not copied yet",
                &[],
            )?,
            archive_bytes: registry.gauge_by("attendance_api_wal_archive_bytes", "Size of the archive of WAL", &[])?,
            archive_limit: registry.gauge_by(
                "attendance_api_wal_archive_limit_bytes",
                "Size that the archive of WAL may have",
                &[],
            )?,
            archive_failed: registry.gauge_by(
                "attendance_api_wal_archive_failed",
                "Whether the copy of the WAL or its base backups fail",
                &[],
            )?,
            archive_slots_lost: registry.counter_by(
                "attendance_api_wal_archive_slots_lost_total",
                "How often WAL was removed before it was copied",
                &[],
            )?,
            archive_earliest: registry.float_gauge_by(
                "attendance_api_wal_archive_earliest_timestamp_seconds",
                "The first moment that can be restored",
                &[],
            )?,
            archive_latest: registry.float_gauge_by(
                "attendance_api_wal_archive_latest_timestamp_seconds",
                "The last moment that can be restored",
                &[],
            )?,
            migrations_applied: registry
                .gauge("attendance_api_migrations_applied", "Changesets and migrations applied by this start")?,
            migration_duration: registry.float_gauge(
                "attendance_api_migration_duration_seconds",
                "How long the migrations of this start took",
            )?,
            log_lines_dropped: registry.counter(
                "attendance_api_log_lines_dropped_total",
                "Log lines dropped because standard output could not take them",
            )?,
            registry,
        };
        metrics.describe_build(version, postgresql)?;
        metrics.registry.add(CachedCollector::new(ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// Registers what runs, as labels of constant metrics.
    fn describe_build(&self, version: &str, postgresql: &str) -> Result<(), prometheus::Error> {
        let reference = self.registry.gauge_by("attendance_api", "Attendance API version", &["version"])?;
        reference.with_label_values(&[version]).set(1);
        let labels = ["version", "embedded_postgresql"];
        let build = self.registry.gauge_by("attendance_api_build_info", "What runs, as labels", &labels)?;
        build.with_label_values(&[version, postgresql]).set(1);
        Ok(())
    }

    /// All metrics in Prometheus's text format.
    ///
    /// # Errors
    /// When a metric cannot be rendered; it is not silently left out.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(32 * 1024);
        text_format::encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
