//! Supervises one child process: starts, checks, restarts and stops it.
//!
//! Policy: a child that exits is restarted after a back-off of 100 ms, which doubles up to 5 s and is reset when the child has run for
//! a minute. A child that runs but fails its checks is ended and restarted in this way, too. A stop sends the signals of the
//! child's [`Policy`] one after the other, each with a time-out, and then SIGKILL to its whole process group. What differs between programs
//! is in their [`Program`].

use std::future::Future;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};

use super::command::ChildCommand;
use super::output::{self, LogSyntax, Output};
use super::output_limit::OutputLimit;
use super::spawner::Spawner;
use super::status::{ChildState, ChildStatus};

/// How long the kernel may take to end a process after SIGKILL; only a process that waits for a disk takes longer.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a first start is repeated whose error may pass.
const TRANSIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// An error of one program that the supervision only reports.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the supervision needs of a program.
pub(super) trait Program: Send + Sync + 'static {
    /// The command of the next start.
    fn command(&self) -> ChildCommand;

    /// Removes what a previous process left, before each start. The implementation must limit its time.
    fn prepare(&self) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Ok(()) }
    }

    /// Resolves when the process `pid` is ready; the supervision limits the wait.
    fn ready(&self, pid: u32) -> impl Future<Output = ()> + Send;

    /// Checks the running process. The implementation must limit its time.
    fn check(&self, _pid: u32) -> impl Future<Output = Result<(), Unhealthy>> + Send {
        async { Ok(()) }
    }

    /// Whether a first start that failed with these last lines of output may succeed when it is repeated.
    fn is_transient(&self, _last_lines: &str) -> bool {
        false
    }
}

/// A failed check of a running child.
#[derive(Debug)]
pub(super) enum Unhealthy {
    /// It may only be busy: it is restarted after [`Policy::max_failed_checks`] such results in a row.
    Suspected(BoxError),
    /// It must be restarted now.
    Certain(BoxError),
}

/// The time-outs and limits of the supervision of one child.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    /// The name of the child, for logs and threads.
    pub(super) name: &'static str,
    /// The syntax of its output.
    pub(super) log_syntax: LogSyntax,
    /// The time from a start until the child must be ready.
    pub(super) start_timeout: Duration,
    /// Whether a failed first start is final and is reported; otherwise it is repeated like every other start.
    pub(super) first_start_must_succeed: bool,
    /// The signals of a stop, each with the time to wait after it. SIGKILL follows if they do not suffice.
    pub(super) stop_signals: Vec<(Signal, Duration)>,
    /// Time between two checks of a running child.
    pub(super) check_interval: Duration,
    /// The number of suspected results in a row after which the child is restarted.
    pub(super) max_failed_checks: u32,
    /// The first back-off before a restart; it doubles with each restart.
    pub(super) min_backoff: Duration,
    /// The longest back-off before a restart.
    pub(super) max_backoff: Duration,
    /// A child that ran for this long starts again with the first back-off.
    pub(super) reset_backoff_after: Duration,
}

impl Policy {
    /// The default policy; the caller sets what differs.
    pub(super) fn new(name: &'static str, log_syntax: LogSyntax) -> Self {
        Self {
            name,
            log_syntax,
            start_timeout: Duration::from_secs(60),
            first_start_must_succeed: false,
            stop_signals: vec![(Signal::SIGTERM, Duration::from_secs(2))],
            check_interval: Duration::from_secs(1),
            max_failed_checks: 3,
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            reset_backoff_after: Duration::from_secs(60),
        }
    }
}

/// Why a child is not running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system did not start the process.
    #[error("the system cannot start a process for it: {0}")]
    Spawn(#[source] io::Error),
    /// What a previous process left could not be removed.
    #[error(transparent)]
    Prepare(BoxError),
    /// The process ended by itself.
    #[error("it ended with {status}; the last it said:\n{last_lines}")]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its output.
        last_lines: String,
    },
    /// The process was not ready before the time-out.
    #[error("it did not answer within {after:?} and was ended; the last it said:\n{last_lines}")]
    NotReady {
        /// The time-out.
        after: Duration,
        /// The last lines of its output.
        last_lines: String,
    },
    /// The process failed its checks.
    #[error("it was ended: {0}")]
    Unhealthy(#[source] BoxError),
    /// A stop was requested before it was ready.
    #[error("it was stopped before it answered")]
    Stopped,
}

impl Error {
    /// Whether the process ended on request, such as that of an administrator who restarts it.
    fn is_ordered_end(&self) -> bool {
        matches!(self, Self::Exited { status, .. } if status.success())
    }

    /// The last lines of its output, if there are any.
    pub(super) fn last_lines(&self) -> &str {
        match self {
            Self::Exited { last_lines, .. } | Self::NotReady { last_lines, .. } => last_lines,
            _ => "",
        }
    }
}

/// A child under supervision. Dropping it stops the child, without waiting for it.
#[derive(Debug)]
pub(super) struct Supervised {
    status: watch::Receiver<ChildStatus>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// The longest time that a stop can take.
    stop_timeout: Duration,
}

/// Receives the outcome of the first start.
pub(super) type FirstStart = oneshot::Receiver<Result<(), Error>>;

impl Supervised {
    /// Starts to supervise `program` and returns immediately; the second value receives the outcome of the first start.
    ///
    /// # Errors
    /// When the operating system has no thread for it.
    pub(super) fn start(program: impl Program, policy: Policy) -> io::Result<(Self, FirstStart)> {
        let (status, watched) = watch::channel(ChildStatus::initial());
        let (stop, stopping) = watch::channel(false);
        let (report, first_start) = oneshot::channel();
        let stop_timeout = policy.stop_signals.iter().map(|step| step.1).sum::<Duration>() + 2 * KILL_TIMEOUT;
        let spawner = Spawner::start(policy.name)?;
        let limit = Arc::new(OutputLimit::new(Instant::now()));
        let supervisor = Supervisor { program, policy, spawner, status, stopping, limit, report: Some(report) };
        let task = tokio::spawn(supervisor.run());
        Ok((Self { status: watched, stop, task, stop_timeout }, first_start))
    }

    /// Its status, now and whenever it changes.
    pub(super) fn status(&self) -> watch::Receiver<ChildStatus> {
        self.status.clone()
    }

    /// Stops the child permanently and waits for it, for a limited time.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(self.stop_timeout, self.task).await.is_err() {
            error!("a child could not be stopped within {:?}; its death signal will end it", self.stop_timeout);
        }
    }
}

impl Supervised {
    /// Ends the child by its death signal, at once.
    pub(super) async fn abandon(self) {
        self.task.abort();
        // It fails because it was aborted.
        let _ = self.task.await;
    }
}

/// The outcome of one process of the child.
enum Outcome {
    Stopped,
    Failed(Error),
}

/// Why a process has ended or must be ended.
enum EndCause {
    StopRequested,
    Exited(io::Result<ExitStatus>),
    StartTimedOut,
    Unhealthy(BoxError),
}

/// The task behind [`Supervised`].
struct Supervisor<P> {
    program: P,
    policy: Policy,
    spawner: Spawner,
    status: watch::Sender<ChildStatus>,
    stopping: watch::Receiver<bool>,
    /// Of the output of all its processes.
    limit: Arc<OutputLimit>,
    /// Present until the first start has succeeded or finally failed.
    report: Option<oneshot::Sender<Result<(), Error>>>,
}

impl<P: Program> Supervisor<P> {
    async fn run(mut self) {
        let first_deadline = Instant::now() + self.policy.start_timeout.min(TRANSIENT_TIMEOUT);
        let mut backoff = self.policy.min_backoff;
        loop {
            let started = Instant::now();
            let error = match self.run_once().await {
                Outcome::Stopped => return self.finish(ChildState::Stopped, Error::Stopped),
                Outcome::Failed(error) => error,
            };
            let retry = self.program.is_transient(error.last_lines()) && Instant::now() < first_deadline;
            if self.report.is_some() && self.policy.first_start_must_succeed && !retry {
                return self.finish(ChildState::Failed, error);
            }
            if started.elapsed() >= self.policy.reset_backoff_after {
                backoff = self.policy.min_backoff;
            }
            if self.report.is_none() && error.is_ordered_end() {
                info!("{} was stopped, not by the appliance; it is started again in {backoff:?}", self.policy.name);
            } else {
                warn!("{} is started again in {backoff:?}: {error}", self.policy.name);
            }
            self.status.send_modify(|status| {
                status.pid = None;
                status.last_error = Some(error.to_string());
                status.enter(ChildState::Backoff);
            });
            tokio::select! {
                () = stop_requested(&mut self.stopping) => return self.finish(ChildState::Stopped, Error::Stopped),
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(self.policy.max_backoff);
            self.status.send_modify(|status| status.restarts += 1);
        }
    }

    /// Enters the final state and reports the error of a first start that is still pending.
    fn finish(&mut self, state: ChildState, error: Error) {
        self.status.send_modify(|status| {
            status.pid = None;
            status.enter(state);
        });
        if let Some(report) = self.report.take() {
            // It fails if the receiver was dropped: not every caller waits for the first start.
            let _ = report.send(Err(error));
        }
    }

    /// Runs one process from its start to its end.
    async fn run_once(&mut self) -> Outcome {
        let started = Instant::now();
        self.status.send_modify(|status| status.enter(ChildState::Starting));
        let prepared = tokio::select! {
            () = stop_requested(&mut self.stopping) => return Outcome::Stopped,
            prepared = self.program.prepare() => prepared,
        };
        if let Err(error) = prepared {
            return Outcome::Failed(Error::Prepare(error));
        }
        let (mut child, pid) = match self.spawn().await {
            Ok(started) => started,
            Err(error) => return Outcome::Failed(Error::Spawn(error)),
        };
        let output = Output::follow(&mut child, self.policy.log_syntax, &self.limit);
        self.status.send_modify(|status| {
            status.pid = Some(pid);
            status.started_at = Some(SystemTime::now());
            status.start_duration = None;
        });
        let cause = match self.until_ready(&mut child, pid).await {
            Ok(()) => {
                self.mark_ready(pid, started.elapsed());
                self.while_running(&mut child, pid).await
            }
            Err(cause) => cause,
        };
        self.reap(cause, child, output).await
    }

    async fn spawn(&self) -> io::Result<(Child, u32)> {
        let command = self.program.command();
        debug!("starting {}: {command}", self.policy.name);
        let mut child = self.spawner.spawn(command.to_command()?).await?;
        let pid = child.id().ok_or_else(|| io::Error::other("the process ended before it had a process id"))?;
        if let (Some(bytes), Some(mut stdin)) = (command.input_bytes(), child.stdin.take()) {
            // A child that does not read its input exits or does not become ready, which is handled as such.
            tokio::spawn(async move { stdin.write_all(&bytes).await });
        }
        Ok((child, pid))
    }

    async fn until_ready(&mut self, child: &mut Child, pid: u32) -> Result<(), EndCause> {
        tokio::select! {
            biased;
            () = stop_requested(&mut self.stopping) => Err(EndCause::StopRequested),
            exit = child.wait() => Err(EndCause::Exited(exit)),
            ready = tokio::time::timeout(self.policy.start_timeout, self.program.ready(pid)) => {
                ready.map_err(|_| EndCause::StartTimedOut)
            }
        }
    }

    fn mark_ready(&mut self, pid: u32, took: Duration) {
        info!("{} is ready: process {pid}, after {} ms", self.policy.name, took.as_millis());
        self.status.send_modify(|status| {
            status.start_duration = Some(took);
            status.enter(ChildState::Running);
        });
        if let Some(report) = self.report.take() {
            // It fails if the receiver was dropped: not every caller waits for the first start.
            let _ = report.send(Ok(()));
        }
    }

    async fn while_running(&mut self, child: &mut Child, pid: u32) -> EndCause {
        tokio::select! {
            biased;
            () = stop_requested(&mut self.stopping) => EndCause::StopRequested,
            exit = child.wait() => EndCause::Exited(exit),
            error = until_unhealthy(&self.program, &self.policy, &self.limit, pid) => EndCause::Unhealthy(error),
        }
    }

    /// Ends a process that still runs, waits for it and returns its outcome.
    async fn reap(&self, cause: EndCause, mut child: Child, output: Output) -> Outcome {
        if !matches!(cause, EndCause::Exited(_)) {
            terminate(&mut child, &self.policy).await;
        }
        let last_lines = output.last_lines().await;
        output::report_dropped(self.policy.log_syntax, self.limit.final_report());
        Outcome::Failed(match cause {
            EndCause::StopRequested => {
                info!("{} has stopped", self.policy.name);
                return Outcome::Stopped;
            }
            EndCause::Exited(Ok(status)) => Error::Exited { status, last_lines },
            EndCause::Exited(Err(error)) => Error::Spawn(error),
            EndCause::StartTimedOut => Error::NotReady { after: self.policy.start_timeout, last_lines },
            EndCause::Unhealthy(error) => Error::Unhealthy(error),
        })
    }
}

/// Resolves when a stop is requested, or when the [`Supervised`] that could request one is dropped.
async fn stop_requested(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Checks the child repeatedly; resolves with the reason for which it must be restarted.
async fn until_unhealthy(program: &impl Program, policy: &Policy, limit: &OutputLimit, pid: u32) -> BoxError {
    let mut failures = 0;
    loop {
        tokio::time::sleep(policy.check_interval).await;
        output::report_dropped(policy.log_syntax, limit.due_report(Instant::now()));
        match program.check(pid).await {
            Ok(()) => failures = 0,
            Err(Unhealthy::Certain(error)) => return error,
            Err(Unhealthy::Suspected(error)) => {
                failures += 1;
                debug!("{} failed check {failures} of {}: {error}", policy.name, policy.max_failed_checks);
                if failures >= policy.max_failed_checks {
                    return error;
                }
            }
        }
    }
}

/// Ends a process: sends the signals of the policy one after the other, then SIGKILL to its whole group.
pub(super) async fn terminate(child: &mut Child, policy: &Policy) {
    // The process id stays valid until the child is waited for; after that `id` is `None`.
    for (signal, timeout) in &policy.stop_signals {
        let Some(pid) = process_id(child) else { return };
        if kill(pid, *signal).is_err() || tokio::time::timeout(*timeout, child.wait()).await.is_ok() {
            continue;
        }
        warn!("{} did not end within {timeout:?} after {signal}", policy.name);
    }
    if let Some(pid) = process_id(child) {
        // A child that has not yet made its group is signalled alone.
        let _ = killpg(pid, Signal::SIGKILL).or_else(|_| kill(pid, Signal::SIGKILL));
        if tokio::time::timeout(KILL_TIMEOUT, child.wait()).await.is_err() {
            error!("process {pid} of {} does not end after SIGKILL", policy.name);
        }
    }
}

fn process_id(child: &Child) -> Option<Pid> {
    child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
}
