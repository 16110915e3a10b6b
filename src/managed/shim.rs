//! The hidden subcommand `supervised-child`: the last step between the appliance and a child's own program.
//!
//! Policy: a child never outlives the appliance. The kernel is asked for that with a death signal, which a process can
//! only set for itself, so the appliance re-executes itself as this shim, which sets it and becomes the program by
//! `exec`: same process id, still our direct child. The signal fires when the *thread* that spawned the child ends, so
//! `spawner` keeps one for that. An appliance that died before the signal was set is noticed by its changed parent id.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::str::FromStr;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "supervised-child";

/// Why the shim did not become the program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Called by hand, or by another version.
    #[error("'{0}' is not the name of a signal; this subcommand is only for the appliance itself")]
    Signal(String),
    /// Called by hand, or by another version.
    #[error("no program was named; this subcommand is only for the appliance itself")]
    NoProgram,
    /// The kernel refused the death signal.
    #[error("cannot ask the kernel for a death signal: {0}")]
    DeathSignal(Errno),
    /// The appliance is gone, so the child must not start.
    #[error("the appliance (process {0}) is gone; not starting '{program}'", program = .1.display())]
    Orphaned(i32, OsString),
    /// The program cannot be executed.
    #[error("cannot execute '{program}': {1}", program = .0.display())]
    Exec(OsString, #[source] io::Error),
}

/// The arguments that make the appliance run the program and arguments which follow them.
pub(super) fn arguments(death_signal: Signal) -> [OsString; 6] {
    let parent = getpid().to_string();
    [SUBCOMMAND, "--parent", &parent, "--signal", death_signal.as_str(), "--"].map(OsString::from)
}

/// Becomes `command` (a program and its arguments), which then dies by `signal` when the process `parent` does.
///
/// Returns only when that failed.
pub fn run_supervised_child(parent: i32, signal: &str, command: &[impl AsRef<OsStr>]) -> Error {
    let Some((program, args)) = command.split_first() else {
        return Error::NoProgram;
    };
    let Ok(death_signal) = Signal::from_str(signal) else {
        return Error::Signal(signal.to_owned());
    };
    if let Err(errno) = prctl::set_pdeathsig(death_signal) {
        return Error::DeathSignal(errno);
    }
    // Asked after the signal was set: from here on there is no gap.
    let program = program.as_ref();
    if getppid().as_raw() != parent {
        return Error::Orphaned(parent, program.to_owned());
    }
    Error::Exec(program.to_owned(), Command::new(program).args(args).exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_only_a_person_would_type() {
        let nothing: [&str; 0] = [];
        assert!(matches!(run_supervised_child(1, "SIGINT", &nothing), Error::NoProgram));
        assert!(matches!(run_supervised_child(1, "SIGNONSENSE", &["true"]), Error::Signal(_)));
    }

    #[test]
    fn does_not_start_the_child_of_a_parent_that_is_gone() {
        // No process has this id; the signal is one that changes nothing here.
        let error = run_supervised_child(-1, "SIGCONT", &["true"]);
        assert!(matches!(error, Error::Orphaned(-1, _)), "{error}");
    }
}
