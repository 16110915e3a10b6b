//! Measures the disk of the managed PostgreSQL, for the domain and the metrics.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use crate::attendance::{Storage, StorageReport};
use crate::database::DiskProblem;
use crate::managed::data_disk::DataDisk;
use crate::telemetry::metrics::Metrics;

/// The time between two measurements.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The task that measures; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct DiskMonitor {
    task: JoinHandle<()>,
}

impl DiskMonitor {
    /// Measures once, and starts the task.
    pub(super) async fn start(mut disk: DataDisk, storage: Arc<Storage>, metrics: Arc<Metrics>) -> Option<Self> {
        disk = measure(disk, &storage, &metrics).await?;
        let task = tokio::spawn(async move {
            loop {
                sleep(CHECK_INTERVAL).await;
                match measure(disk, &storage, &metrics).await {
                    Some(measured) => disk = measured,
                    None => return,
                }
            }
        });
        Some(Self { task })
    }
}

impl Drop for DiskMonitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Measures on a thread that may block, since a file system may. None if the process is ending.
async fn measure(mut disk: DataDisk, storage: &Storage, metrics: &Metrics) -> Option<DataDisk> {
    let is_suspected = storage.take_suspicion();
    let (disk, free, problem) = spawn_blocking(move || {
        let (free, problem) = disk.check(is_suspected);
        (disk, free, problem)
    })
    .await
    .ok()?;
    let problem = problem.map(|problem| {
        let kind = if problem.is_read_only() { DiskProblem::ReadOnly } else { DiskProblem::Full };
        (kind, problem.to_string())
    });
    let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    metrics.data_bytes_free.with_label_values::<&str>(&[]).set(gauge(free.bytes));
    metrics.data_writable.with_label_values::<&str>(&[]).set(i64::from(problem.is_none()));
    if let Some(inodes) = free.inodes {
        metrics.data_inodes_free.with_label_values::<&str>(&[]).set(gauge(inodes));
    }
    let report = StorageReport { free_bytes: free.bytes, free_inodes: free.inodes, problem };
    if storage.report(report.clone()) {
        match report.problem {
            Some((kind, reason)) => {
                tracing::error!(
                    reason,
                    free_bytes = free.bytes,
                    "the disk of the database is {kind}: nothing can be stored, reads are answered"
                );
            }
            None => tracing::info!(free_bytes = free.bytes, "the disk of the database takes records again"),
        }
    }
    Some(disk)
}
