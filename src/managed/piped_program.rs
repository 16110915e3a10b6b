//! A program of PostgreSQL whose input or output is a stream, such as `pg_dump`.
//!
//! Policy: like a helper, it ends with the appliance. It is killed when its [`PipedProgram`] is dropped, so an operation that is given up leaves
//! no process. What it writes to standard error is kept for the error message.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::{Child, ChildStdin, ChildStdout};

use super::command::ChildCommand;
use super::helper::Error;
use super::output::{LogSyntax, Output};
use super::output_limit::OutputLimit;
use super::process::{self, Policy};
use super::spawner::Spawner;

/// A running program.
pub struct PipedProgram {
    program: String,
    child: Child,
    /// None before its output is taken or followed.
    output: Option<Output>,
    /// Its end kills the program.
    _spawner: Spawner,
}

impl PipedProgram {
    /// Starts it.
    pub(super) async fn start(command: &ChildCommand) -> Result<Self, Error> {
        let program = command.program().display().to_string();
        let failed = |source| Error::Run { program: program.clone(), source };
        let spawner = Spawner::start("program").map_err(failed)?;
        let child = spawner.spawn(command.to_command().map_err(failed)?).await.map_err(failed)?;
        Ok(Self { program, child, output: None, _spawner: spawner })
    }

    /// Its standard output, to be read to the end. Without this call it is kept like standard error.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn take_output(&mut self) -> io::Result<ChildStdout> {
        self.child.stdout.take().ok_or_else(|| io::Error::other("its output was taken before"))
    }

    /// Its standard input. Dropping it ends the input.
    ///
    /// # Errors
    /// When the program was started without one, or it was taken before.
    pub fn take_input(&mut self) -> io::Result<ChildStdin> {
        self.child.stdin.take().ok_or_else(|| io::Error::other("it has no input that can be taken"))
    }

    /// Reads what it writes to standard error from now on, so that it never waits for a reader.
    pub fn follow(&mut self) {
        // Its output is not logged, so the limit has no effect.
        let limit = Arc::new(OutputLimit::new(Instant::now()));
        self.output = Some(Output::follow(&mut self.child, LogSyntax::Silent, &limit));
    }

    /// Waits for its end, after its streams have ended.
    ///
    /// # Errors
    /// When it does not end within `timeout`, or with a failure.
    pub async fn finish(mut self, timeout: Duration) -> Result<(), Error> {
        if self.output.is_none() {
            self.follow();
        }
        let finished = tokio::time::timeout(timeout, self.child.wait()).await;
        let Ok(status) = finished else {
            let policy = Policy { stop_signals: Vec::new(), ..Policy::new("program", LogSyntax::Silent) };
            process::terminate(&mut self.child, &policy).await;
            let last_lines = self.last_lines().await;
            return Err(Error::Timeout { program: self.program, after: timeout, last_lines });
        };
        let status = status.map_err(|source| Error::Run { program: self.program.clone(), source })?;
        let last_lines = self.last_lines().await;
        if status.success() { Ok(()) } else { Err(Error::Failed { program: self.program, status, last_lines }) }
    }

    async fn last_lines(&mut self) -> String {
        match self.output.take() {
            Some(output) => output.last_lines().await,
            None => String::new(),
        }
    }
}
