//! The command line, environment and input of a child.
//!
//! Policy: the command line and the environment may be printed at any time, so they never contain a secret; a secret goes through
//! standard input. The environment has only the variables listed here and none of the appliance's own: with `NOTIFY_SOCKET`,
//! `WATCHDOG_*` and `LISTEN_*`, Debian's PostgreSQL and Redis would send notifications to the appliance's systemd unit.
//! Every child has its own process group, so that Ctrl-C in a terminal reaches only the appliance. It is started through the hidden
//! subcommand `supervised-child` (see `shim`), so that it ends with the appliance.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use nix::sys::signal::Signal;
use tokio::process::Command;

use super::shim;

/// The appliance's own program. Unlike its path, this link works even if the file has been replaced or has become unreachable.
pub(super) const OWN_PROGRAM: &str = "/proc/self/exe";

/// The variables that a child gets from the appliance's environment, if they are set.
const COPIED_VARIABLES: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ"];

/// The standard input of a child.
#[derive(Clone)]
pub(super) enum Input {
    /// Nothing.
    Nothing,
    /// These bytes, which may be secret.
    Bytes(Arc<[u8]>),
    /// A stream that the caller writes.
    Stream,
    /// An open descriptor, such as a listening socket.
    Descriptor(Arc<OwnedFd>),
}

/// A child that can be started any number of times.
#[derive(Clone)]
pub(super) struct ChildCommand {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    /// The signal that the kernel sends to the child when the appliance dies.
    death_signal: Signal,
    input: Input,
    /// The title in lists of processes, instead of the program's path.
    title: Option<&'static str>,
    /// The `nice` value, if it is not that of the appliance.
    niceness: Option<i32>,
    /// False only in unit tests, whose executable is not the appliance.
    is_shimmed: bool,
}

impl ChildCommand {
    /// A child that runs `program` and is sent `death_signal` when the appliance dies.
    pub(super) fn new(program: impl Into<PathBuf>, death_signal: Signal) -> Self {
        let copied = COPIED_VARIABLES.iter().filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)));
        let env = copied.collect();
        let args = Vec::new();
        let (input, title) = (Input::Nothing, None);
        let program = program.into();
        let command = Self { program, args, env, death_signal, input, title, niceness: None, is_shimmed: true };
        command.env("LC_ALL", "C")
    }

    /// Adds one argument.
    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub(super) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable. Not for secrets: other processes of the same user can read it.
    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Sets the standard input of the child.
    pub(super) fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// Sets the title in lists of processes.
    pub(super) fn title(mut self, title: &'static str) -> Self {
        self.title = Some(title);
        self
    }

    /// Sets the `nice` value, for work that may wait.
    pub(super) fn niceness(mut self, niceness: i32) -> Self {
        self.niceness = Some(niceness);
        self
    }

    /// Runs without the shim.
    #[cfg(test)]
    pub(super) fn direct(mut self) -> Self {
        self.is_shimmed = false;
        self
    }

    /// The program's path.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The bytes to write to the child's standard input once it runs.
    pub(super) fn input_bytes(&self) -> Option<Arc<[u8]>> {
        match &self.input {
            Input::Bytes(bytes) => Some(Arc::clone(bytes)),
            Input::Nothing | Input::Stream | Input::Descriptor(_) => None,
        }
    }

    /// The command in tokio's form.
    ///
    /// # Errors
    /// When the descriptor for standard input cannot be duplicated.
    pub(super) fn to_command(&self) -> io::Result<Command> {
        let mut command = if self.is_shimmed {
            let mut command = Command::new(OWN_PROGRAM);
            command.args(shim::arguments(self.death_signal, self.title, self.niceness)).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        command.args(&self.args).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        // A child must not keep the file system busy in which the appliance was started.
        command.current_dir("/").process_group(0).stdin(match &self.input {
            Input::Nothing => Stdio::null(),
            Input::Bytes(_) | Input::Stream => Stdio::piped(),
            Input::Descriptor(descriptor) => Stdio::from(descriptor.try_clone()?),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

/// The environment and the command line in the syntax of a shell.
impl fmt::Display for ChildCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("env -i")?;
        for (name, value) in &self.env {
            write!(f, " {}={}", name.display(), quoted(value))?;
        }
        write!(f, " {}", quoted(self.program.as_os_str()))?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

/// `word` in the syntax of a shell.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_command_can_be_typed_into_a_shell_and_contains_no_input() {
        let secret: Arc<[u8]> = Arc::from(&b"hunter2"[..]);
        let command = ChildCommand::new("/bin/echo", Signal::SIGINT)
            .env("A", "b c")
            .args(["it's", "", "listen_addresses="])
            .input(Input::Bytes(secret));
        let printed = command.to_string();
        assert!(printed.ends_with(r"A='b c' /bin/echo 'it'\''s' '' listen_addresses="), "{printed}");
        assert!(!printed.contains("hunter2"));
    }
}
