//! Lists processes by reading `/proc`, and sends signals.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, Uid, User};

/// A process as it was when it was listed. Its start time distinguishes it from a later process with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessInfo {
    /// Its process id.
    pub(crate) pid: u32,
    /// The program name, truncated by the kernel to 15 characters.
    pub(crate) name: String,
    parent: u32,
    state: char,
    started: u64,
}

impl ProcessInfo {
    /// Whether this process, and not a later one with its id, still runs.
    pub(crate) fn is_running(&self) -> bool {
        read_process(self.pid).is_some_and(|now| now.started == self.started && now.state != 'Z')
    }
}

fn read_process(pid: u32) -> Option<ProcessInfo> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let rest: Vec<&str> = stat[close + 1..].split_whitespace().collect();
    Some(ProcessInfo {
        pid,
        name: stat[open + 1..close].to_owned(),
        state: rest.first()?.chars().next()?,
        parent: rest.get(1)?.parse().ok()?,
        started: rest.get(19)?.parse().ok()?,
    })
}

fn all_processes() -> Vec<ProcessInfo> {
    let entries = fs::read_dir("/proc").expect("there is a /proc");
    entries.flatten().filter_map(|entry| read_process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// The running children of `pid`.
pub(crate) fn children_of(pid: u32) -> Vec<ProcessInfo> {
    all_processes().into_iter().filter(|process| process.parent == pid && process.state != 'Z').collect()
}

/// The running descendants of `pid`.
pub(crate) fn descendants(pid: u32) -> Vec<ProcessInfo> {
    let all = all_processes();
    let mut found: Vec<ProcessInfo> = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent && process.state != 'Z') {
            parents.push(process.pid);
            found.push(process.clone());
        }
    }
    found
}

/// The files of shared memory that these processes have mapped. PostgreSQL removes them when it stops, but not when it is
/// killed.
pub(crate) fn shared_memory_of(processes: &[ProcessInfo]) -> BTreeSet<PathBuf> {
    let maps = processes.iter().filter_map(|process| fs::read_to_string(format!("/proc/{}/maps", process.pid)).ok());
    let files = |text: String| -> Vec<PathBuf> {
        text.lines().filter_map(|line| line.find("/dev/shm/PostgreSQL.").map(|at| line[at..].into())).collect()
    };
    maps.flat_map(files).collect()
}

/// Whether a process with this id runs.
pub(crate) fn is_alive(pid: u32) -> bool {
    read_process(pid).is_some_and(|process| process.state != 'Z')
}

/// The real, effective, saved and file-system user ids of `pid`.
pub(crate) fn uids_of(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    line.split_whitespace().filter_map(|uid| uid.parse().ok()).collect()
}

/// Sends a signal to a process; fails if there is none.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process number fits"));
    nix::sys::signal::kill(pid, signal).expect("the process is there to be signalled");
}

/// Sends a signal to a process that may have exited already.
pub(crate) fn try_signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process number fits"));
    let _ = nix::sys::signal::kill(pid, signal);
}

/// The user that external servers run as if the tests run as root; `None` otherwise.
pub(crate) fn unprivileged_user() -> Option<User> {
    let user = || User::from_name("nobody").ok().flatten().expect("there is a user `nobody`");
    Uid::effective().is_root().then(user)
}

/// Makes `command` run as [`unprivileged_user`], because PostgreSQL does not run as root.
pub(crate) fn as_unprivileged_user(command: &mut Command) -> &mut Command {
    if let Some(user) = unprivileged_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}
