//! Reports on scheduled backups and on the archive of point-in-time recovery: their metrics, and their part of the health report.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};

use crate::attendance::{BackupHealth, BackupReport};
use crate::operate::archiver::ArchiveStatus;
use crate::operate::clock;
use crate::operate::schedule::{failure, overdue_since};
use crate::operate::state::{State, time};
use crate::telemetry::metrics::Metrics;

/// How often the age of the last backup is looked at.
const INTERVAL: Duration = Duration::from_secs(30);

/// Sets the metrics until it is dropped.
#[derive(Debug)]
pub(super) struct BackupMonitor {
    sources: Sources,
    task: JoinHandle<()>,
}

/// What is reported on: the backups of a schedule, an archive, or both.
#[derive(Debug, Clone)]
struct Sources {
    state: Option<watch::Receiver<State>>,
    archive: Option<watch::Receiver<ArchiveStatus>>,
}

impl BackupMonitor {
    /// Sets the metrics now and whenever something changes. `None` without a schedule and without an archive.
    pub(super) fn start(
        state: Option<watch::Receiver<State>>,
        archive: Option<watch::Receiver<ArchiveStatus>>,
        metrics: &Arc<Metrics>,
    ) -> Option<Self> {
        if state.is_none() && archive.is_none() {
            return None;
        }
        let sources = Sources { state, archive };
        sources.set(metrics);
        let (mut watched, metrics) = (sources.clone(), Arc::clone(metrics));
        let task = tokio::spawn(async move {
            // An elapsed interval only means that nothing has changed.
            while timeout(INTERVAL, watched.changed()).await != Ok(false) {
                watched.set(&metrics);
            }
        });
        Some(Self { sources, task })
    }

    /// The part of the health report.
    pub(super) fn health(&self) -> BackupHealth {
        let sources = self.sources.clone();
        BackupHealth::new(move || sources.report())
    }
}

impl Sources {
    /// Waits for a change; false if there will be none.
    async fn changed(&mut self) -> bool {
        tokio::select! {
            changed = changed(&mut self.state) => changed,
            changed = changed(&mut self.archive) => changed,
        }
    }

    fn set(&self, metrics: &Metrics) {
        if let Some(state) = &self.state {
            set(metrics, &state.borrow());
        }
        if let Some(archive) = &self.archive {
            set_archive(metrics, &archive.borrow());
        }
    }

    fn report(&self) -> BackupReport {
        let of_backups = self.state.as_ref().map(|state| report(&state.borrow())).unwrap_or_default();
        let of_archive = self.archive.as_ref().and_then(|archive| archive.borrow().problem.clone());
        BackupReport { reason: of_backups.reason.clone().or(of_archive), ..of_backups }
    }
}

async fn changed<T>(source: &mut Option<watch::Receiver<T>>) -> bool {
    match source {
        Some(source) => source.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}

impl Drop for BackupMonitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn report(state: &State) -> BackupReport {
    let overdue = overdue_since(state, clock::now());
    BackupReport {
        last_success: time(state.last_success.as_ref()),
        last_failure: time(state.last_failure.as_ref()),
        reason: failure(state)
            .map(str::to_owned)
            .or_else(|| overdue.map(|since| format!("overdue: there is no backup since {since}")))
            .or_else(|| state.verify_reason.clone()),
    }
}

fn set_archive(metrics: &Metrics, status: &ArchiveStatus) {
    let none: [&str; 0] = [];
    metrics.archive_lag.with_label_values(&none).set(i64::try_from(status.lag_bytes).unwrap_or(i64::MAX));
    metrics.archive_failed.with_label_values(&none).set(i64::from(status.problem.is_some()));
    if let Some((bytes, limit)) = status.size {
        let clamped = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        metrics.archive_bytes.with_label_values(&none).set(clamped(bytes));
        metrics.archive_limit.with_label_values(&none).set(clamped(limit));
    }
    let lost = metrics.archive_slots_lost.with_label_values(&none);
    lost.inc_by(status.slots_lost.saturating_sub(lost.get()));
    // The precision of a float suffices for a second.
    let seconds = |time: Timestamp| time.as_microsecond() as f64 / 1e6;
    if let Some(time) = status.earliest {
        metrics.archive_earliest.with_label_values(&none).set(seconds(time));
    }
    if let Some(time) = status.latest {
        metrics.archive_latest.with_label_values(&none).set(seconds(time));
    }
}

fn set(metrics: &Metrics, state: &State) {
    let none: [&str; 0] = [];
    metrics.backup_failed.with_label_values(&none).set(i64::from(failure(state).is_some()));
    metrics.backup_overdue.with_label_values(&none).set(i64::from(overdue_since(state, clock::now()).is_some()));
    metrics.backup_verification_failed.with_label_values(&none).set(i64::from(state.verify_reason.is_some()));
    if let Some(time) = time(state.last_success.as_ref()) {
        metrics.backup_last_success.with_label_values(&none).set(time.as_second());
        metrics.backup_bytes.with_label_values(&none).set(i64::try_from(state.bytes).unwrap_or(i64::MAX));
        // The precision of a float suffices for a duration.
        metrics.backup_duration.with_label_values(&none).set(state.duration_ms as f64 / 1000.0);
    }
    if let Some(time) = time(state.last_verified.as_ref()) {
        metrics.backup_last_verified.with_label_values(&none).set(time.as_second());
    }
}
