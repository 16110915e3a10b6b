//! What is known about a supervised child, for health reports and metrics.

use std::fmt;
use std::time::{Duration, SystemTime};

/// What a supervised child is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildState {
    /// The program was started, it does not answer yet.
    Starting,
    /// It answers.
    Running,
    /// It ended on its own and is started again after a pause.
    Backoff,
    /// It was asked to stop and did.
    Stopped,
    /// Its first start failed; nobody tries again.
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

/// One moment in the life of a supervised child.
#[derive(Debug, Clone)]
pub struct ChildStatus {
    /// What it is doing.
    pub state: ChildState,
    /// When it entered this state.
    pub since: SystemTime,
    /// Its process id, while there is a process.
    pub pid: Option<u32>,
    /// How often it was started again after it had ended on its own or was found ill.
    pub restarts: u64,
    /// When the current process was started.
    pub started_at: Option<SystemTime>,
    /// How long the current process took from its start to its first answer.
    pub start_duration: Option<Duration>,
    /// Why the previous process ended, where one did.
    pub last_failure: Option<String>,
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
            last_failure: None,
        }
    }

    /// Enters `state`, now.
    pub(super) fn enter(&mut self, state: ChildState) {
        self.state = state;
        self.since = SystemTime::now();
    }
}
