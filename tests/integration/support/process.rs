//! Looking at processes through `/proc`, and sending them signals.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, Uid, User};

/// A process as it was seen: the number alone may be given to another one later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its number.
    pub(crate) pid: u32,
    /// Its program's name, as the kernel shortens it.
    pub(crate) name: String,
    parent: u32,
    state: char,
    started: u64,
}

impl Seen {
    /// Whether this very process still runs.
    pub(crate) fn runs(&self) -> bool {
        look_at(self.pid).is_some_and(|now| now.started == self.started && now.state != 'Z')
    }
}

fn look_at(pid: u32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let rest: Vec<&str> = stat[close + 1..].split_whitespace().collect();
    Some(Seen {
        pid,
        name: stat[open + 1..close].to_owned(),
        state: rest.first()?.chars().next()?,
        parent: rest.get(1)?.parse().ok()?,
        started: rest.get(19)?.parse().ok()?,
    })
}

fn everybody() -> Vec<Seen> {
    let entries = fs::read_dir("/proc").expect("there is a /proc");
    entries.flatten().filter_map(|entry| look_at(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// The living children of `pid`.
pub(crate) fn children_of(pid: u32) -> Vec<Seen> {
    everybody().into_iter().filter(|seen| seen.parent == pid && seen.state != 'Z').collect()
}

/// The living children of `pid`, their children, and so on.
pub(crate) fn descendants(pid: u32) -> Vec<Seen> {
    let all = everybody();
    let mut found: Vec<Seen> = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for seen in all.iter().filter(|seen| seen.parent == parent && seen.state != 'Z') {
            parents.push(seen.pid);
            found.push(seen.clone());
        }
    }
    found
}

/// Whether a process with this number runs.
pub(crate) fn is_alive(pid: u32) -> bool {
    look_at(pid).is_some_and(|seen| seen.state != 'Z')
}

/// Real, effective, saved and file-system user of `pid`.
pub(crate) fn uids_of(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    line.split_whitespace().filter_map(|uid| uid.parse().ok()).collect()
}

/// Sends a signal to one process, by its number.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process number fits"));
    nix::sys::signal::kill(pid, signal).expect("the process is there to be signalled");
}

/// Sends a signal to one process that may be gone already.
pub(crate) fn try_signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process number fits"));
    let _ = nix::sys::signal::kill(pid, signal);
}

/// The user that servers run as when the tests run as root; `None` when they do not.
pub(crate) fn lower_uid() -> Option<User> {
    let nobody = || User::from_name("nobody").ok().flatten().expect("there is a user `nobody`");
    Uid::effective().is_root().then(nobody)
}

/// Makes `command` run as [`lower_uid`]: PostgreSQL refuses to run as root.
pub(crate) fn as_lower_user(command: &mut Command) -> &mut Command {
    if let Some(user) = lower_uid() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}
