//! The hidden subcommand `supervised-child`: sets the death signal and then becomes the program of a child.
//!
//! Policy: a child never outlives the appliance. The kernel ensures that with a death signal, which a process can
//! set only for itself. So the appliance executes itself as this shim, which sets the signal and becomes the program by
//! `exec`: the process id does not change, and it remains a direct child. The kernel sends the signal when the *thread* that spawned the
//! child ends, so `spawner` keeps a thread for that. If the appliance dies before the signal is set, the parent id has changed.
//!
//! The own program is executed through a link whose name says nothing, so a child that runs it gets its title here.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::str::FromStr;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};

use crate::priority;

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "supervised-child";

/// Why the shim did not become the program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The signal argument is unknown.
    #[error("'{0}' is not the name of a signal; this subcommand is only for the appliance itself")]
    Signal(String),
    /// The program argument is missing.
    #[error("no program was named; this subcommand is only for the appliance itself")]
    NoProgram,
    /// The kernel rejected the death signal.
    #[error("cannot ask the kernel for a death signal: {0}")]
    DeathSignal(#[source] Errno),
    /// The appliance has ended, so the child must not start.
    #[error("the appliance (process {0}) is gone; not starting '{program}'", program = .1.display())]
    Orphaned(i32, OsString),
    /// The program cannot be executed.
    #[error("cannot execute '{program}': {1}", program = .0.display())]
    Exec(OsString, #[source] io::Error),
}

/// The arguments of the shim; the program and its arguments follow them.
pub(super) fn arguments(death_signal: Signal, title: Option<&str>, niceness: Option<i32>) -> Vec<OsString> {
    let parent = getpid().to_string();
    let niceness = niceness.map(|niceness| niceness.to_string());
    let title = title.into_iter().flat_map(|title| ["--title", title]);
    let niceness = niceness.as_deref().into_iter().flat_map(|niceness| ["--niceness", niceness]);
    let fixed = [SUBCOMMAND, "--parent", &parent, "--signal", death_signal.as_str()];
    fixed.into_iter().chain(title).chain(niceness).chain(["--"]).map(OsString::from).collect()
}

/// Becomes `command` (a program and its arguments), to which the kernel then sends `signal` when the process `parent` dies. `title` stands for
/// the program's path in lists of processes, and `niceness` is its `nice` value, if that is not the appliance's.
///
/// Returns only if that failed.
pub fn run_supervised_child(
    parent: i32,
    signal: &str,
    title: Option<&OsStr>,
    niceness: Option<i32>,
    command: &[impl AsRef<OsStr>],
) -> Error {
    let Some((program, args)) = command.split_first() else {
        return Error::NoProgram;
    };
    let Ok(death_signal) = Signal::from_str(signal) else {
        return Error::Signal(signal.to_owned());
    };
    if let Err(errno) = prctl::set_pdeathsig(death_signal) {
        return Error::DeathSignal(errno);
    }
    if let Some(niceness) = niceness {
        priority::lower_own(niceness);
    }
    // Checked after the signal is set, so that no moment is left in which the death of the parent goes unnoticed.
    let program = program.as_ref();
    if getppid().as_raw() != parent {
        return Error::Orphaned(parent, program.to_owned());
    }
    Error::Exec(program.to_owned(), Command::new(program).arg0(title.unwrap_or(program)).args(args).exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_and_an_unknown_signal_are_rejected() {
        let nothing: [&str; 0] = [];
        assert!(matches!(run_supervised_child(1, "SIGINT", None, None, &nothing), Error::NoProgram));
        assert!(matches!(run_supervised_child(1, "SIGNONSENSE", None, None, &["true"]), Error::Signal(_)));
    }

    #[test]
    fn a_child_whose_parent_is_gone_is_not_started() {
        // No process has this id, and SIGCONT has no effect on this process.
        let error = run_supervised_child(-1, "SIGCONT", None, None, &["true"]);
        assert!(matches!(error, Error::Orphaned(-1, _)), "{error}");
    }
}
