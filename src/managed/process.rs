//! One supervised child: started, watched, restarted, stopped.
//!
//! Policy: an exit is noticed at once and answered with a restart after a pause, 100 ms at first and doubling to 5 s; a
//! child that ran for a minute has earned a short pause again. A child that runs but fails its checks is ended and
//! restarted like one that died. A stop sends the signals of the child's [`Policy`] one after the other, each with a
//! bound, and ends with SIGKILL to its whole process group. What a program needs beyond that is its [`Program`].

use std::future::Future;
use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};

use super::command::ChildCommand;
use super::output::{LogSyntax, Output};
use super::spawner::Spawner;
use super::status::{ChildState, ChildStatus};

/// How long the kernel may take to end a process after SIGKILL; only a process stuck in a disk operation needs longer.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What the supervision must know about the program it looks after.
pub(super) trait Program: Send + Sync + 'static {
    /// What is started, each time anew.
    fn command(&self) -> ChildCommand;

    /// Clears what a previous process left, before each start. Bounded by the implementation.
    fn prepare(&self) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// Resolves when the process `pid` answers; the supervision bounds the wait.
    fn ready(&self, pid: u32) -> impl Future<Output = ()> + Send;

    /// Looks at the running process. Bounded by the implementation.
    fn check(&self, _pid: u32) -> impl Future<Output = Result<(), Unhealthy>> + Send {
        async { Ok(()) }
    }

    /// Whether a first start that ended with these last lines may succeed when tried again.
    fn is_transient(&self, _last_lines: &str) -> bool {
        false
    }
}

/// What is wrong with a running child.
#[derive(Debug)]
pub(super) enum Unhealthy {
    /// It may be busy: acted on when it lasts.
    Suspected(String),
    /// It needs a restart now.
    Certain(String),
}

/// How patient the supervision is.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    /// For logs and thread names.
    pub(super) name: &'static str,
    /// How to read its output.
    pub(super) log_syntax: LogSyntax,
    /// A start may take this long until the child answers.
    pub(super) start_timeout: Duration,
    /// Whether a failed first start is final and is reported; otherwise it is retried like any other.
    pub(super) first_start_must_succeed: bool,
    /// The signals of a stop, each with the time it is given. SIGKILL follows in any case.
    pub(super) stop: Vec<(Signal, Duration)>,
    /// Time between two checks of a running child.
    pub(super) check_interval: Duration,
    /// So many suspected illnesses in a row are a certain one.
    pub(super) max_failed_checks: u32,
    /// The first pause before a restart; it doubles.
    pub(super) min_backoff: Duration,
    /// The longest pause before a restart.
    pub(super) max_backoff: Duration,
    /// After running this long the pause starts over.
    pub(super) reset_backoff_after: Duration,
}

impl Policy {
    /// The usual patience; the caller sets what differs.
    pub(super) fn new(name: &'static str, log_syntax: LogSyntax) -> Self {
        Self {
            name,
            log_syntax,
            start_timeout: Duration::from_secs(60),
            first_start_must_succeed: false,
            stop: vec![(Signal::SIGTERM, Duration::from_secs(2))],
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
pub enum Failure {
    /// The system did not start the process.
    #[error("the system cannot start a process for it: {0}")]
    Spawn(#[source] io::Error),
    /// What a previous process left could not be cleared.
    #[error("{0}")]
    Prepare(String),
    /// The process ended by itself.
    #[error("it ended with {status}; the last it said:\n{last_lines}")]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its output.
        last_lines: String,
    },
    /// The process ran without ever answering.
    #[error("it did not answer within {after:?} and was ended; the last it said:\n{last_lines}")]
    Silent {
        /// How long it was given.
        after: Duration,
        /// The last lines of its output.
        last_lines: String,
    },
    /// The process ran, but was of no use.
    #[error("it was ended: {0}")]
    Ill(String),
    /// Somebody asked for a stop before it answered.
    #[error("it was stopped before it answered")]
    Stopped,
}

impl Failure {
    fn last_lines(&self) -> &str {
        match self {
            Self::Exited { last_lines, .. } | Self::Silent { last_lines, .. } => last_lines,
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
    /// A stop takes this long at the most.
    stop_bound: Duration,
}

/// Tells how the first start went, once.
pub(super) type FirstStart = oneshot::Receiver<Result<(), Failure>>;

impl Supervised {
    /// Starts to look after `program`. Returns at once; the second value tells when it answered first.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(program: impl Program, policy: Policy) -> io::Result<(Self, FirstStart)> {
        let (status, watched) = watch::channel(ChildStatus::initial());
        let (stop, stopping) = watch::channel(false);
        let (report, first_start) = oneshot::channel();
        let stop_bound = policy.stop.iter().map(|step| step.1).sum::<Duration>() + 2 * KILL_PATIENCE;
        let spawner = Spawner::start(policy.name)?;
        let supervisor = Supervisor { program, policy, spawner, status, stopping, report: Some(report) };
        let task = tokio::spawn(supervisor.run());
        Ok((Self { status: watched, stop, task, stop_bound }, first_start))
    }

    /// What it is doing, now and from now on.
    pub(super) fn status(&self) -> watch::Receiver<ChildStatus> {
        self.status.clone()
    }

    /// Stops the child for good and waits for it, bounded.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(self.stop_bound, self.task).await.is_err() {
            error!("a child could not be stopped within {:?}; its death signal will end it", self.stop_bound);
        }
    }
}

/// How one life of the child ended.
enum End {
    Stopped,
    Failed(Failure),
}

/// What ended the patience with a process, or the process.
enum Event {
    Stop,
    Exit(io::Result<ExitStatus>),
    Overdue,
    Ill(String),
}

/// The task behind [`Supervised`].
struct Supervisor<P> {
    program: P,
    policy: Policy,
    spawner: Spawner,
    status: watch::Sender<ChildStatus>,
    stopping: watch::Receiver<bool>,
    /// Present until the first start has succeeded or failed for good.
    report: Option<oneshot::Sender<Result<(), Failure>>>,
}

impl<P: Program> Supervisor<P> {
    async fn run(mut self) {
        let first_deadline = Instant::now() + self.policy.start_timeout;
        let mut pause = self.policy.min_backoff;
        loop {
            let begun = Instant::now();
            let failure = match self.live().await {
                End::Stopped => return self.finish(ChildState::Stopped, Failure::Stopped),
                End::Failed(failure) => failure,
            };
            let retry = self.program.is_transient(failure.last_lines()) && Instant::now() < first_deadline;
            if self.report.is_some() && self.policy.first_start_must_succeed && !retry {
                return self.finish(ChildState::Failed, failure);
            }
            if begun.elapsed() >= self.policy.reset_backoff_after {
                pause = self.policy.min_backoff;
            }
            warn!("{} is started again in {pause:?}: {failure}", self.policy.name);
            self.status.send_modify(|status| {
                status.pid = None;
                status.last_failure = Some(failure.to_string());
                status.enter(ChildState::Backoff);
            });
            tokio::select! {
                () = stop_requested(&mut self.stopping) => return self.finish(ChildState::Stopped, Failure::Stopped),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(self.policy.max_backoff);
            self.status.send_modify(|status| status.restarts += 1);
        }
    }

    /// The last state; also answers whoever still waits for the first start.
    fn finish(&mut self, state: ChildState, failure: Failure) {
        self.status.send_modify(|status| {
            status.pid = None;
            status.enter(state);
        });
        if let Some(report) = self.report.take() {
            // Nobody waiting is fine: not every child's first start is waited for.
            let _ = report.send(Err(failure));
        }
    }

    /// One process from its start to its end.
    async fn live(&mut self) -> End {
        let begun = Instant::now();
        self.status.send_modify(|status| status.enter(ChildState::Starting));
        let prepared = tokio::select! {
            () = stop_requested(&mut self.stopping) => return End::Stopped,
            prepared = self.program.prepare() => prepared,
        };
        if let Err(reason) = prepared {
            return End::Failed(Failure::Prepare(reason));
        }
        let (mut child, pid) = match self.spawn().await {
            Ok(started) => started,
            Err(e) => return End::Failed(Failure::Spawn(e)),
        };
        let output = Output::follow(&mut child, self.policy.log_syntax);
        self.status.send_modify(|status| {
            status.pid = Some(pid);
            status.started_at = Some(SystemTime::now());
            status.start_duration = None;
        });
        let event = match self.until_ready(&mut child, pid).await {
            Ok(()) => {
                self.became_ready(pid, begun.elapsed());
                self.while_running(&mut child, pid).await
            }
            Err(event) => event,
        };
        self.bury(event, child, output).await
    }

    async fn spawn(&self) -> io::Result<(Child, u32)> {
        let command = self.program.command();
        debug!("starting {}: {command}", self.policy.name);
        let mut child = self.spawner.spawn(command.to_command()?).await?;
        let pid = child.id().ok_or_else(|| io::Error::other("the process ended before it had a process id"))?;
        if let (Some(bytes), Some(mut stdin)) = (command.input_bytes(), child.stdin.take()) {
            // A child that does not read ends or stays silent, and is judged by that.
            tokio::spawn(async move { stdin.write_all(&bytes).await });
        }
        Ok((child, pid))
    }

    async fn until_ready(&mut self, child: &mut Child, pid: u32) -> Result<(), Event> {
        tokio::select! {
            biased;
            () = stop_requested(&mut self.stopping) => Err(Event::Stop),
            exit = child.wait() => Err(Event::Exit(exit)),
            ready = tokio::time::timeout(self.policy.start_timeout, self.program.ready(pid)) => {
                ready.map_err(|_| Event::Overdue)
            }
        }
    }

    fn became_ready(&mut self, pid: u32, took: Duration) {
        info!("{} is ready: process {pid}, after {} ms", self.policy.name, took.as_millis());
        self.status.send_modify(|status| {
            status.start_duration = Some(took);
            status.enter(ChildState::Running);
        });
        if let Some(report) = self.report.take() {
            // Nobody waiting is fine: not every child's first start is waited for.
            let _ = report.send(Ok(()));
        }
    }

    async fn while_running(&mut self, child: &mut Child, pid: u32) -> Event {
        tokio::select! {
            biased;
            () = stop_requested(&mut self.stopping) => Event::Stop,
            exit = child.wait() => Event::Exit(exit),
            reason = illness(&self.program, &self.policy, pid) => Event::Ill(reason),
        }
    }

    /// Ends what is left of a process and says why it ended.
    async fn bury(&self, event: Event, mut child: Child, output: Output) -> End {
        if !matches!(event, Event::Exit(_)) {
            end(&mut child, &self.policy).await;
        }
        let last_lines = output.last_lines().await;
        match event {
            Event::Stop => {
                info!("{} has stopped", self.policy.name);
                End::Stopped
            }
            Event::Exit(Ok(status)) => End::Failed(Failure::Exited { status, last_lines }),
            Event::Exit(Err(e)) => End::Failed(Failure::Spawn(e)),
            Event::Overdue => End::Failed(Failure::Silent { after: self.policy.start_timeout, last_lines }),
            Event::Ill(reason) => End::Failed(Failure::Ill(reason)),
        }
    }
}

/// Resolves when a stop was asked for, or when nobody is left who could ask.
async fn stop_requested(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Checks the child again and again; resolves with the reason why it must be restarted.
async fn illness(program: &impl Program, policy: &Policy, pid: u32) -> String {
    let mut failures = 0;
    loop {
        tokio::time::sleep(policy.check_interval).await;
        match program.check(pid).await {
            Ok(()) => failures = 0,
            Err(Unhealthy::Certain(reason)) => return reason,
            Err(Unhealthy::Suspected(reason)) => {
                failures += 1;
                debug!("{} failed check {failures} of {}: {reason}", policy.name, policy.max_failed_checks);
                if failures >= policy.max_failed_checks {
                    return reason;
                }
            }
        }
    }
}

/// Ends a process: the policy's signals one after the other, then SIGKILL to all of its group.
pub(super) async fn end(child: &mut Child, policy: &Policy) {
    // The process id is ours to signal as long as the child was not waited for; then `id` is `None`.
    for (signal, patience) in &policy.stop {
        let Some(pid) = process_id(child) else { return };
        if kill(pid, *signal).is_err() || tokio::time::timeout(*patience, child.wait()).await.is_ok() {
            continue;
        }
        warn!("{} did not end within {patience:?} after {signal}", policy.name);
    }
    if let Some(pid) = process_id(child) {
        // The group exists unless the child died before it had one; then the child alone is the group.
        let _ = killpg(pid, Signal::SIGKILL).or_else(|_| kill(pid, Signal::SIGKILL));
        if tokio::time::timeout(KILL_PATIENCE, child.wait()).await.is_err() {
            error!("process {pid} of {} does not end after SIGKILL", policy.name);
        }
    }
}

fn process_id(child: &Child) -> Option<Pid> {
    child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
}
