//! The priority of work that may wait: its threads and processes let those that answer requests go first.
//!
//! Policy: a priority is only ever lowered, because raising it again needs a privilege. So only threads and processes that end with the work get a lower one. Where the
//! system forbids that, the work is done at normal priority.

use std::io;
use std::panic::resume_unwind;
use std::thread::{self, Builder, JoinHandle};

use rustix::process::{Pid, setpriority_process};
use rustix::thread::gettid;

/// The `nice` value of backups: beside threads that are always busy, each of their threads gets about a tenth of what one of those gets.
pub const BACKUP_NICENESS: i32 = 10;

/// Starts a thread with this `nice` value.
///
/// # Errors
/// When the system has no thread left.
pub fn spawn<T: Send + 'static>(
    name: &str,
    niceness: i32,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        lower(Some(gettid()), niceness);
        work()
    })
}

/// Does work in a thread with this `nice` value, and waits for its end.
///
/// # Errors
/// When the system has no thread left.
pub fn run<T: Send>(name: &str, niceness: i32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let lowered = || {
            lower(Some(gettid()), niceness);
            work()
        };
        let running = Builder::new().name(name.to_owned()).spawn_scoped(scope, lowered)?;
        running.join().map_or_else(|panic| resume_unwind(panic), Ok)
    })
}

/// Gives this process a `nice` value.
pub fn lower_own(niceness: i32) {
    lower(None, niceness);
}

/// Gives another process of the same user a `nice` value. One that has ended is left alone.
pub fn lower_process(id: i32, niceness: i32) {
    if let Some(id) = Pid::from_raw(id) {
        lower(Some(id), niceness);
    }
}

fn lower(id: Option<Pid>, niceness: i32) {
    if let Err(error) = setpriority_process(id, niceness) {
        tracing::debug!(%error, "work that may wait is done at normal priority");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn the_priority_of_the_work_is_lower_and_that_of_its_caller_stays() {
        let niceness = || getpriority_process(Some(gettid())).unwrap();
        let own = niceness();
        assert_eq!(run("test", own + 3, niceness).unwrap(), own + 3);
        assert_eq!(spawn("test", own + 4, niceness).unwrap().join().unwrap(), own + 4);
        assert_eq!(niceness(), own);
    }

    #[test]
    fn a_process_that_has_ended_is_left_alone() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        child.wait().unwrap();
        lower_process(i32::try_from(child.id()).unwrap(), BACKUP_NICENESS);
        lower_process(0, BACKUP_NICENESS);
    }
}
