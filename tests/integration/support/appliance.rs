//! The appliance as a child: built, started, watched, ended.
//!
//! Policy: what the appliance says is collected and shown when the test fails; what it started is looked at before it
//! is killed, and must be gone afterwards.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::http::{Connection, Request, Response};
use super::process::{Seen, descendants};
use super::{HANG, Postgres, Scratch, Sql, eventually, reaper, signal, try_signal, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_attendance-api");

/// How the appliance is to be started.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    config: Option<String>,
    env: Vec<(String, String)>,
    command: Vec<String>,
    args: Vec<String>,
    data_dir: Option<PathBuf>,
    listen: String,
    limits: Option<String>,
    inherited: Option<Arc<OwnedFd>>,
    bare: bool,
    scratch: Arc<Scratch>,
}

impl Builder {
    /// The text of its `config.yaml`; more calls add to it.
    pub(crate) fn config(mut self, text: &str) -> Self {
        self.config.get_or_insert_default().push_str(text);
        self
    }

    /// Uses a database of a PostgreSQL that somebody else runs.
    pub(crate) fn postgres(self, server: &Postgres, database: &str) -> Self {
        let section = server.config(database);
        self.config(&section)
    }

    /// A variable of its environment, which is otherwise empty but for `PATH` and `HOME`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A subcommand in place of `serve`.
    pub(crate) fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// A further argument.
    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Another address than a free port of 127.0.0.1.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.listen = address.into();
        self
    }

    /// Limits of the shell (`ulimit` arguments) that it and its children run under.
    pub(crate) fn limits(mut self, ulimit: &str) -> Self {
        self.limits = Some(ulimit.into());
        self
    }

    /// A socket that is passed to it as systemd does it.
    pub(crate) fn inherits(mut self, socket: &Arc<OwnedFd>) -> Self {
        self.inherited = Some(Arc::clone(socket));
        self
    }

    /// Another data directory than one of its own.
    pub(crate) fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// The directory around its data directory.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Where its data will be.
    pub(crate) fn data(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| self.scratch.path().join("data"))
    }

    fn to_command(&self) -> Command {
        let mut command = match (&self.limits, &self.inherited) {
            (None, None) => Command::new(PROGRAM),
            (Some(limits), _) => under(limits),
            (None, Some(_)) => activated(),
        };
        command
            .args(&self.command)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.scratch.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.scratch.path())
            .stdin(self.inherited.as_ref().map_or_else(Stdio::null, |socket| {
                Stdio::from(socket.try_clone().expect("a descriptor can be copied"))
            }))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(text) = &self.config {
            command.arg("--config").arg(self.scratch.file("settings.yaml", text));
        }
        if self.bare {
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

    /// Runs the command to its end with no argument of ours added.
    pub(crate) fn run_as_is(mut self) -> Finished {
        self.bare = true;
        self.finish()
    }

    /// Starts it and returns at once.
    pub(crate) fn spawn(self) -> Appliance {
        let mut child = self.to_command().spawn().expect("the appliance can be run");
        reaper::started(child.id());
        let said = Arc::new(Mutex::new(Vec::new()));
        let complaints = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().expect("stdout is piped"), said.clone());
        collect(child.stderr.take().expect("stderr is piped"), complaints.clone());
        Appliance { settings: self, child: Some(child), address: None, said, complaints }
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Appliance {
        let mut appliance = self.spawn();
        appliance.wait_listening();
        appliance
    }

    /// Runs it to its end.
    pub(crate) fn finish(self) -> Finished {
        let mut appliance = self.spawn();
        let status = appliance.wait();
        // The readers see the end of the pipes a moment after the process has ended.
        let text = |lines: &Arc<Mutex<Vec<String>>>| {
            let _ = within_quietly(Duration::from_secs(5), || Arc::strong_count(lines) == 1);
            lines.lock().expect("no reader panics").join("\n")
        };
        Finished { status, stdout: text(&appliance.said), stderr: text(&appliance.complaints) }
    }
}

/// The appliance with the limits of a shell. A write beyond a limit on file sizes is an error and not a signal.
fn under(limits: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("trap '' XFSZ; ulimit {limits} && exec \"$0\" \"$@\""), PROGRAM]);
    command
}

/// The appliance with its standard input passed as the service manager's first socket.
fn activated() -> Command {
    let mut command = Command::new("sh");
    let script = "exec 3<&0 0</dev/null && LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    command.args(["-c", script, PROGRAM]);
    command
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// With which status.
    pub(crate) status: ExitStatus,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it complained of.
    pub(crate) stderr: String,
}

impl Finished {
    /// Fails unless the exit status is `code`; returns itself.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Everything it said, both ways.
    pub(crate) fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

fn within_quietly(bound: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = std::time::Instant::now() + bound;
    while !holds() {
        if std::time::Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

fn collect(from: impl Read + Send + 'static, into: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            into.lock().expect("no holder panics").push(text);
            line.clear();
        }
    });
}

/// A running appliance.
#[derive(Debug)]
pub(crate) struct Appliance {
    settings: Builder,
    child: Option<Child>,
    address: Option<SocketAddr>,
    said: Arc<Mutex<Vec<String>>>,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Appliance {
    /// `serve` on a free port, with a data directory of its own and nothing configured.
    pub(crate) fn builder() -> Builder {
        Builder {
            config: None,
            env: Vec::new(),
            command: vec!["serve".into()],
            args: Vec::new(),
            data_dir: None,
            listen: "127.0.0.1:0".into(),
            limits: None,
            inherited: None,
            bare: false,
            scratch: Arc::new(Scratch::new("app")),
        }
    }

    /// Waits for the log line that names the address.
    pub(crate) fn wait_listening(&mut self) {
        let address = within(HANG * 2, "the appliance listens", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the appliance ended ({ended:?}) before it listened");
            self.logged("listening").first().and_then(|line| find_address(&line.to_string()))
        });
        self.address = Some(address);
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("it listens")
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.settings.data()
    }

    /// How it was started.
    pub(crate) fn settings(&self) -> Builder {
        self.settings.clone()
    }

    /// Sends a request on a connection of its own; fails when no answer comes.
    pub(crate) fn send(&self, request: &Request) -> Response {
        let answer = Connection::open(self.address()).and_then(|mut connection| connection.send(request));
        answer.unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    /// `GET`
    pub(crate) fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    /// `POST` with JSON
    pub(crate) fn post(&self, target: &str, body: &str) -> Response {
        self.send(&Request::post_json(target, body))
    }

    /// A connection that is kept open.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address()).expect("the appliance accepts connections")
    }

    /// Every line it has printed so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.said.lock().expect("no reader panics").clone()
    }

    /// Every line it has printed on stderr so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().expect("no reader panics").clone()
    }

    /// Its log lines so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Its log lines so far with that message.
    pub(crate) fn logged(&self, message: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["message"] == message).collect()
    }

    /// Waits for a log line.
    pub(crate) fn wait_log(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || self.log().into_iter().find(|line| wanted(line)))
    }

    /// The access log line of the request with that id.
    pub(crate) fn access(&self, request_id: &str) -> Value {
        self.wait_log("the access line", |line| line["request_id"] == request_id && line.get("status_code").is_some())
    }

    /// SQL beside the appliance, on the server it manages.
    pub(crate) fn sql(&self) -> Sql {
        let data = self.data();
        let password = std::fs::read_to_string(data.join("postgres/password")).expect("the password is kept");
        let run = data.join("run");
        let config = Sql::on_socket(&run, 5432, "postgres", password.trim(), "attendance_db");
        Sql::connect(&config).expect("the managed PostgreSQL answers")
    }

    fn child(&self, name: &str) -> Option<Seen> {
        super::children_of(self.pid()).into_iter().find(|seen| seen.name == name)
    }

    /// The postmaster it manages.
    pub(crate) fn postgres_child(&self) -> Option<Seen> {
        self.child("postgres")
    }

    /// The built-in Redis: the child that runs the appliance's own program.
    pub(crate) fn redis_child(&self) -> Option<Seen> {
        let is_redis = |seen: &Seen| {
            let command = std::fs::read(format!("/proc/{}/cmdline", seen.pid)).unwrap_or_default();
            String::from_utf8_lossy(&command).contains("mini-redis-child")
        };
        super::children_of(self.pid()).into_iter().find(is_redis)
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        signal(self.pid(), Signal::SIGTERM);
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("it runs");
        let pid = child.id();
        let status = within(HANG * 2, "the appliance ends", || child.try_wait().expect("it is our child"));
        reaper::ended(pid);
        self.child = None;
        status
    }

    /// Asks it to stop and waits for it: exit status 0 and no child left.
    pub(crate) fn stop(&mut self) {
        let family = descendants(self.pid());
        self.terminate();
        let status = self.wait();
        assert!(status.success(), "stopped with {status}");
        assert_gone(&family);
    }

    /// Kills it as a crash would and sees its children go.
    pub(crate) fn kill(&mut self) {
        let family = descendants(self.pid());
        signal(self.pid(), Signal::SIGKILL);
        self.wait();
        // A child that a test has frozen cannot die of a signal it cannot take.
        family.iter().filter(|seen| seen.runs()).for_each(|seen| try_signal(seen.pid, Signal::SIGCONT));
        assert_gone(&family);
    }

    /// Starts it again with the same settings and data; it must have ended.
    pub(crate) fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        *self = self.settings.clone().start();
    }
}

fn assert_gone(family: &[Seen]) {
    eventually("nothing is left of its children", || family.iter().all(|seen| !seen.runs()).then_some(()));
}

fn find_address(line: &str) -> Option<SocketAddr> {
    let start = line.find("127.0.0.1:")?;
    let rest = &line[start..];
    let end = rest["127.0.0.1:".len()..].find(|c: char| !c.is_ascii_digit()).map(|end| end + "127.0.0.1:".len());
    rest[..end.unwrap_or(rest.len())].parse().ok().filter(|address: &SocketAddr| address.port() != 0)
}

impl Drop for Appliance {
    fn drop(&mut self) {
        if thread::panicking() {
            let lines = self.lines();
            eprintln!("--- the appliance said (the last of {} lines):", lines.len());
            lines.iter().rev().take(60).rev().for_each(|line| eprintln!("{line}"));
            self.complaints().iter().for_each(|line| eprintln!("stderr: {line}"));
            if let Some(mut child) = self.child.take() {
                let _ = child.kill();
                let _ = child.wait();
                reaper::ended(child.id());
            }
        } else if self.child.is_some() {
            self.kill();
        }
    }
}
