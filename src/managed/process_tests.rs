//! Tests of the supervision, with shell scripts instead of PostgreSQL and Redis.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::time::timeout;

use super::command::ChildCommand;
use super::output::LogSyntax;
use super::process::{BoxError, Error, Policy, Program, Supervised, Unhealthy};
use super::status::{ChildState, ChildStatus};
use super::testing::{Scratch, scratch};

/// A shell script that is ready when it has made the file `ready` in its directory.
struct Fake {
    script: &'static str,
    dir: Scratch,
    /// The number of checks that succeed; all later checks fail.
    healthy_checks: AtomicU32,
    retry_on: &'static str,
}

impl Fake {
    fn new(name: &str, script: &'static str) -> Self {
        Self { script, dir: scratch(name), healthy_checks: AtomicU32::new(u32::MAX), retry_on: "never" }
    }
}

impl Program for Fake {
    fn command(&self) -> ChildCommand {
        ChildCommand::new("/bin/sh", Signal::SIGKILL).args(["-c", self.script]).env("DIR", &*self.dir).direct()
    }

    async fn prepare(&self) -> Result<(), BoxError> {
        let _ = std::fs::remove_file(self.dir.join("ready"));
        Ok(())
    }

    async fn ready(&self, _pid: u32) {
        while !self.dir.join("ready").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn check(&self, _pid: u32) -> Result<(), Unhealthy> {
        let left = self.healthy_checks.load(Ordering::Relaxed);
        if left == 0 {
            return Err(Unhealthy::Suspected("the test says so".into()));
        }
        self.healthy_checks.store(left - 1, Ordering::Relaxed);
        Ok(())
    }

    fn is_transient(&self, last_lines: &str) -> bool {
        last_lines.contains(self.retry_on)
    }
}

fn quick() -> Policy {
    Policy {
        start_timeout: Duration::from_secs(20),
        first_start_must_succeed: true,
        stop_signals: vec![(Signal::SIGTERM, Duration::from_millis(300))],
        check_interval: Duration::from_millis(10),
        min_backoff: Duration::from_millis(10),
        max_backoff: Duration::from_millis(40),
        ..Policy::new("fake", LogSyntax::Silent)
    }
}

async fn until(status: &mut watch::Receiver<ChildStatus>, wanted: impl Fn(&ChildStatus) -> bool) -> ChildStatus {
    let seen = timeout(Duration::from_secs(30), status.wait_for(|status| wanted(status))).await;
    seen.expect("the state is reached within 30 s").expect("the supervision lives").clone()
}

fn is_alive(pid: u32) -> bool {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), None).is_ok()
}

const RUNS: &str = "touch $DIR/ready; exec sleep 60";

#[tokio::test]
async fn a_child_that_dies_is_restarted() {
    let (child, first) = Supervised::start(Fake::new("dies", RUNS), quick()).unwrap();
    first.await.unwrap().unwrap();
    let mut status = child.status();
    let before = until(&mut status, |status| status.state == ChildState::Running).await;
    assert!(before.start_duration.is_some() && before.last_error.is_none());
    kill(Pid::from_raw(i32::try_from(before.pid.unwrap()).unwrap()), Signal::SIGKILL).unwrap();
    let after = until(&mut status, |status| status.state == ChildState::Running && status.restarts == 1).await;
    assert_ne!(after.pid, before.pid);
    assert!(after.last_error.unwrap().contains("signal: 9"));
    child.stop().await;
    assert_eq!(status.borrow().state, ChildState::Stopped);
    assert!(!is_alive(after.pid.unwrap()));
}

#[tokio::test]
async fn a_failed_first_start_is_final_and_reports_the_last_lines() {
    let fake = Fake::new("fails", "echo 'no room at the inn' >&2; exit 3");
    let (child, first) = Supervised::start(fake, quick()).unwrap();
    let error = first.await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::Exited { last_lines, .. } if last_lines == "no room at the inn"), "{error}");
    assert_eq!(child.status().borrow().state, ChildState::Failed);
    child.stop().await;
}

#[tokio::test]
async fn a_missing_program_is_an_error_without_a_retry() {
    struct Missing;
    impl Program for Missing {
        fn command(&self) -> ChildCommand {
            ChildCommand::new("/nowhere/postgres", Signal::SIGKILL).direct()
        }
        async fn ready(&self, _pid: u32) {}
    }
    let (_child, first) = Supervised::start(Missing, quick()).unwrap();
    assert!(matches!(first.await.unwrap(), Err(Error::Spawn(_))));
}

#[tokio::test]
async fn a_first_start_with_a_transient_error_is_repeated() {
    let script =
        "[ -e $DIR/second ] && { touch $DIR/ready; exec sleep 60; }; touch $DIR/second; echo still in use; exit 1";
    let fake = Fake { retry_on: "still in use", ..Fake::new("retry", script) };
    let (child, first) = Supervised::start(fake, quick()).unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(child.status().borrow().restarts, 1);
    child.stop().await;
}

#[tokio::test]
async fn a_child_that_is_never_ready_is_ended() {
    let policy = Policy { start_timeout: Duration::from_millis(100), ..quick() };
    let (child, first) = Supervised::start(Fake::new("silent", "echo thinking; exec sleep 60"), policy).unwrap();
    let mut status = child.status();
    let pid = until(&mut status, |status| status.pid.is_some()).await.pid.unwrap();
    let error = first.await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::NotReady { last_lines, .. } if last_lines == "thinking"), "{error}");
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_child_that_fails_its_checks_is_restarted() {
    let fake = Fake { healthy_checks: AtomicU32::new(2), ..Fake::new("ill", RUNS) };
    let (child, first) = Supervised::start(fake, quick()).unwrap();
    first.await.unwrap().unwrap();
    let mut status = child.status();
    let after = until(&mut status, |status| status.restarts >= 1).await;
    assert!(after.last_error.unwrap().contains("the test says so"));
    child.stop().await;
}

#[tokio::test]
async fn a_stop_ends_with_sigkill_to_the_whole_group() {
    let script = "trap '' TERM; sleep 61 & echo $! > $DIR/grandchild; touch $DIR/ready; while :; do sleep 0.1; done";
    let fake = Fake::new("stubborn", script);
    let recorded = fake.dir.join("grandchild");
    let (child, first) = Supervised::start(fake, quick()).unwrap();
    first.await.unwrap().unwrap();
    let pid = child.status().borrow().pid.unwrap();
    let grandchild: u32 = std::fs::read_to_string(recorded).unwrap().trim().parse().unwrap();
    child.stop().await;
    assert!(!is_alive(pid));
    let state = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "the grandchild lives: {state}");
}

#[tokio::test]
async fn a_stop_during_a_back_off_or_a_start_is_immediate() {
    let policy = Policy { first_start_must_succeed: false, min_backoff: Duration::from_secs(60), ..quick() };
    let (child, _first) = Supervised::start(Fake::new("pause", "exit 1"), policy).unwrap();
    until(&mut child.status(), |status| status.state == ChildState::Backoff).await;
    timeout(Duration::from_secs(20), child.stop()).await.expect("it does not wait for the end of its back-off");

    let (child, first) = Supervised::start(Fake::new("start", "exec sleep 60"), quick()).unwrap();
    until(&mut child.status(), |status| status.pid.is_some()).await;
    child.stop().await;
    assert!(matches!(first.await.unwrap(), Err(Error::Stopped)));
}
