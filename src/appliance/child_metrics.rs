//! Updates the metrics of the managed children and of the log.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::managed::{ChildState, ChildStatus};
use crate::telemetry::log::DroppedLines;
use crate::telemetry::metrics::Metrics;

/// The maximum age of these metrics.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// The task that updates them; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct ChildMetrics {
    task: JoinHandle<()>,
}

impl ChildMetrics {
    /// Starts the task. `children` has the name and the status of each child.
    pub(super) fn start(
        children: Vec<(&'static str, watch::Receiver<ChildStatus>)>,
        dropped: DroppedLines,
        metrics: Arc<Metrics>,
    ) -> Self {
        let task = tokio::spawn(async move {
            loop {
                for (name, status) in &children {
                    report(name, &status.borrow(), &metrics);
                }
                metrics.log_lines_dropped.inc_by(dropped.count().saturating_sub(metrics.log_lines_dropped.get()));
                tokio::time::sleep(UPDATE_INTERVAL).await;
            }
        });
        Self { task }
    }
}

impl Drop for ChildMetrics {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn report(name: &str, status: &ChildStatus, metrics: &Metrics) {
    metrics.child_up.with_label_values(&[name]).set(i64::from(status.state == ChildState::Running));
    let restarts = metrics.child_restarts.with_label_values(&[name]);
    restarts.inc_by(status.restarts.saturating_sub(restarts.get()));
    if let Some(duration) = status.start_duration {
        metrics.child_start.with_label_values(&[name]).set(duration.as_secs_f64());
    }
}
