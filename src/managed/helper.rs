//! Runs a helper program, such as `initdb`, to its end.
//!
//! Policy: like a supervised child, a helper ends with the appliance. When its time-out ends, its whole process group is killed, so
//! that the processes that it started end as well.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use super::command::ChildCommand;
use super::output::{LogSyntax, Output};
use super::output_limit::OutputLimit;
use super::process::{self, Policy};
use super::spawner::Spawner;

/// Why a helper did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process could not be started or waited for.
    #[error("'{program}' cannot be run: {source}")]
    Run {
        /// The program's path.
        program: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It did not end before the time-out.
    #[error("'{program}' did not finish within {after:?} and was killed; the last it said:\n{last_lines}")]
    Timeout {
        /// The program's path.
        program: String,
        /// The time-out.
        after: Duration,
        /// The last lines of its output.
        last_lines: String,
    },
    /// Its exit status is not 0, or a signal ended it.
    #[error("'{program}' failed with {status}; the last it said:\n{last_lines}")]
    Failed {
        /// The program's path.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its output.
        last_lines: String,
    },
}

/// Runs `command` to its end and returns the last lines of its output.
///
/// # Errors
/// When it cannot be started, takes longer than `timeout`, or ends with a failure.
pub(super) async fn run_helper(command: &ChildCommand, timeout: Duration) -> Result<String, Error> {
    let program = command.program().display().to_string();
    let failed = |source| Error::Run { program: program.clone(), source };
    let spawner = Spawner::start("helper").map_err(failed)?;
    let mut child = spawner.spawn(command.to_command().map_err(failed)?).await.map_err(failed)?;
    // Its output is not logged, so the limit has no effect.
    let limit = Arc::new(OutputLimit::new(Instant::now()));
    let output = Output::follow(&mut child, LogSyntax::Silent, &limit);
    let stdin = child.stdin.take().zip(command.input_bytes());
    let finished = tokio::time::timeout(timeout, async {
        if let Some((mut stdin, bytes)) = stdin {
            // A helper may end without reading its input; its exit status decides.
            let _ = stdin.write_all(&bytes).await;
        }
        child.wait().await
    })
    .await;
    let Ok(status) = finished else {
        let policy = Policy { stop_signals: Vec::new(), ..Policy::new("helper", LogSyntax::Silent) };
        process::terminate(&mut child, &policy).await;
        return Err(Error::Timeout { program, after: timeout, last_lines: output.last_lines().await });
    };
    let status = status.map_err(failed)?;
    let last_lines = output.last_lines().await;
    if status.success() { Ok(last_lines) } else { Err(Error::Failed { program, status, last_lines }) }
}
