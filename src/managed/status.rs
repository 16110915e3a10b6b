//! The status of a supervised child, for health reports and metrics.

use std::fmt;
use std::time::{Duration, SystemTime};

/// The state of a supervised child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildState {
    /// The process was started and is not ready yet.
    Starting,
    /// It is ready.
    Running,
    /// It ended by itself or was unhealthy, and is restarted after a back-off.
    Backoff,
    /// It was asked to stop and did.
    Stopped,
    /// Its first start failed, and it is not started again.
    Failed,
}

impl fmt::Display for ChildState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Backoff => "waiting to restart",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}

/// The state of a supervised child and its history.
#[derive(Debug, Clone)]
pub struct ChildStatus {
    /// The current state.
    pub state: ChildState,
    /// When it entered this state.
    pub since: SystemTime,
    /// Its process id, while there is a process.
    pub pid: Option<u32>,
    /// How often it was restarted because it had ended by itself or was unhealthy.
    pub restarts: u64,
    /// When the current process was started.
    pub started_at: Option<SystemTime>,
    /// How long the current process took from its start until it was ready.
    pub start_duration: Option<Duration>,
    /// Why the previous process ended, if there was one.
    pub last_error: Option<String>,
}

impl ChildStatus {
    /// The status before anything was started.
    pub(super) fn initial() -> Self {
        Self {
            state: ChildState::Starting,
            since: SystemTime::now(),
            pid: None,
            restarts: 0,
            started_at: None,
            start_duration: None,
            last_error: None,
        }
    }

    /// Enters `state`, now.
    pub(super) fn enter(&mut self, state: ChildState) {
        self.state = state;
        self.since = SystemTime::now();
    }
}
