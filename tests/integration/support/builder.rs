//! How an appliance is started: its command, configuration, environment, limits and namespaces.
//!
//! Policy: a builder starts nothing itself; `appliance.rs` starts what it describes.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::cgroup::Cgroup;
use super::postgres::with_listen_url;
use super::process::as_unprivileged_user;
use super::{Postgres, Scratch};

const PROGRAM: &str = env!("CARGO_BIN_EXE_attendance-api");

/// How to start the appliance.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    config: Option<String>,
    env: Vec<(String, String)>,
    command: Vec<String>,
    args: Vec<String>,
    data_dir: Option<PathBuf>,
    listen: String,
    /// What the shell that becomes the appliance does before.
    preparation: Option<String>,
    hosts: Option<PathBuf>,
    is_unprivileged: bool,
    cgroup: Option<PathBuf>,
    activation_socket: Option<Arc<OwnedFd>>,
    without_default_args: bool,
    existing_cluster: bool,
    scratch: Arc<Scratch>,
}

impl Builder {
    /// `serve` on a free port, with a new data directory and an empty configuration.
    pub(super) fn new() -> Self {
        Self {
            config: None,
            env: Vec::new(),
            command: vec!["serve".into()],
            args: Vec::new(),
            data_dir: None,
            listen: "127.0.0.1:0".into(),
            preparation: None,
            hosts: None,
            is_unprivileged: false,
            cgroup: None,
            activation_socket: None,
            without_default_args: false,
            existing_cluster: false,
            scratch: Arc::new(Scratch::new("app")),
        }
    }

    /// Text of its configuration file; further calls append to it.
    pub(crate) fn config(mut self, text: &str) -> Self {
        self.config.get_or_insert_default().push_str(text);
        self
    }

    /// Uses a database of an external PostgreSQL.
    pub(crate) fn postgres(self, server: &Postgres, database: &str) -> Self {
        let section = server.config(database);
        self.config(&section)
    }

    /// Sets an environment variable; without it the environment has only `PATH` and `HOME`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs this subcommand instead of `serve`.
    pub(crate) fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Adds an argument after those that the harness passes itself.
    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Listens on this address instead of a free port of 127.0.0.1.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.listen = address.into();
        self
    }

    /// Resource limits, as arguments of `ulimit`, for the appliance and its children. A write beyond the file-size limit must fail with an
    /// error, so SIGXFSZ is ignored.
    pub(crate) fn limits(mut self, ulimit: &str) -> Self {
        self.preparation = Some(format!("trap '' XFSZ; ulimit {ulimit}"));
        self
    }

    /// Starts it as a shell starts a command in the background: it ignores SIGINT and SIGQUIT.
    pub(crate) fn in_background(mut self) -> Self {
        self.preparation = Some("trap '' INT QUIT".into());
        self
    }

    /// Starts it as the unprivileged user, also if the tests run as root.
    pub(crate) fn unprivileged(mut self) -> Self {
        self.is_unprivileged = true;
        self
    }

    /// Starts it in a control group.
    pub(crate) fn cgroup(mut self, group: &Cgroup) -> Self {
        self.cgroup = Some(group.entrance());
        self
    }

    /// Starts it in the group of the tests again.
    pub(crate) fn without_cgroup(mut self) -> Self {
        self.cgroup = None;
        self
    }

    /// Uses this file instead of `/etc/hosts`. It needs root.
    pub(crate) fn hosts(mut self, path: &Path) -> Self {
        self.hosts = Some(path.to_owned());
        self
    }

    /// Passes a listening socket as systemd does (`LISTEN_FDS`).
    pub(crate) fn socket_activation(mut self, socket: &Arc<OwnedFd>) -> Self {
        self.activation_socket = Some(Arc::clone(socket));
        self
    }

    /// Uses this data directory instead of a new one.
    pub(crate) fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Starts on a copy of a data directory in which another appliance has already unpacked PostgreSQL and created the
    /// database, without records. For tests that are not about the first start: it saves unpacking and `initdb`.
    pub(crate) fn existing_cluster(mut self) -> Self {
        self.existing_cluster = true;
        self
    }

    /// The directory that contains its configuration file and its data directory.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The data directory it will use.
    pub(crate) fn data(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| self.scratch.path().join("data"))
    }

    /// Does not add the arguments that the harness passes itself (`--listen`, `--data-dir`).
    pub(super) fn without_default_args(mut self) -> Self {
        self.without_default_args = true;
        self
    }

    /// Whether it starts on a copy of a cluster that does not exist yet in its data directory.
    pub(super) fn needs_cluster(&self) -> bool {
        self.existing_cluster && !self.data().exists()
    }

    /// The process, not started, with its output piped.
    pub(super) fn to_command(&self) -> Command {
        let mut command = if let Some(preparation) = &self.preparation {
            prepared_by_shell(preparation)
        } else if self.activation_socket.is_some() {
            activated()
        } else if let Some(hosts) = &self.hosts {
            with_hosts(hosts)
        } else if let Some(entrance) = &self.cgroup {
            in_cgroup(entrance)
        } else {
            Command::new(PROGRAM)
        };
        command
            .args(&self.command)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.scratch.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.scratch.path())
            .stdin(self.activation_socket.as_ref().map_or_else(Stdio::null, |socket| {
                Stdio::from(socket.try_clone().expect("a descriptor can be copied"))
            }))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if self.is_unprivileged {
            as_unprivileged_user(&mut command);
        }
        if let Some(text) = &self.config {
            command.arg("--config").arg(self.scratch.file("settings.yaml", &with_listen_url(text)));
        }
        if self.without_default_args {
            return command;
        }
        let word = self.command.first().map(String::as_str).unwrap_or_default();
        if word == "serve" || word == "demo" {
            command.args(["--listen", &self.listen]);
        }
        if word == "serve" {
            command.arg("--data-dir").arg(self.data());
        }
        command.args(&self.args);
        command
    }
}

/// The appliance as what a shell becomes after some commands.
fn prepared_by_shell(commands: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{commands} && exec \"$0\" \"$@\""), PROGRAM]);
    command
}

/// The appliance in the control group with this file `cgroup.procs`.
fn in_cgroup(entrance: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$1\" && shift && exec \"$0\" \"$@\"", PROGRAM]).arg(entrance);
    command
}

/// The appliance in a mount namespace of its own, in which a file takes the place of `/etc/hosts`.
fn with_hosts(path: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$1\" /etc/hosts && shift && exec \"$0\" \"$@\"";
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, PROGRAM]).arg(path);
    command
}

/// The appliance with its standard input passed on as the service manager's first socket.
fn activated() -> Command {
    let mut command = Command::new("sh");
    let script = "exec 3<&0 0</dev/null && LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    command.args(["-c", script, PROGRAM]);
    command
}
