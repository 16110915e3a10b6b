//! The appliance as a child process: started, watched and ended. `builder.rs` configures it.
//!
//! Policy: its output is collected and printed when the test fails. Before it is ended, its descendants are listed;
//! afterwards none of them may still run.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::builder::Builder;
use super::http::{Connection, Request, Response};
use super::process::{ProcessInfo, descendants, shared_memory_of};
use super::{HANG_TIMEOUT, Sql, eventually, reaper, signal, try_signal, within};

impl Builder {
    /// Runs the command until it exits, without the arguments that the harness adds (`--listen`, `--data-dir`).
    pub(crate) fn finish_without_default_args(self) -> CompletedRun {
        self.without_default_args().finish()
    }

    /// Starts it without waiting for anything.
    pub(crate) fn spawn(self) -> Appliance {
        if self.needs_cluster() {
            copy_directory(template_data(), &self.data());
        }
        let mut child = self.to_command().spawn().expect("the appliance can be run");
        reaper::register(child.id());
        let stdout_lines = Arc::new(Mutex::new(Vec::new()));
        let stderr_lines = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().expect("stdout is piped"), stdout_lines.clone());
        collect(child.stderr.take().expect("stderr is piped"), stderr_lines.clone());
        Appliance { settings: self, child: Some(child), address: None, stdout_lines, stderr_lines }
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Appliance {
        let mut appliance = self.spawn();
        appliance.wait_listening();
        appliance
    }

    /// Runs it until it exits.
    pub(crate) fn finish(self) -> CompletedRun {
        let mut appliance = self.spawn();
        let status = appliance.wait();
        // The reader threads reach the end of the pipes shortly after the process has ended.
        let text = |lines: &Arc<Mutex<Vec<String>>>| {
            let _ = holds_within(Duration::from_secs(5), || Arc::strong_count(lines) == 1);
            lines.lock().expect("no reader panics").join("\n")
        };
        CompletedRun { status, stdout: text(&appliance.stdout_lines), stderr: text(&appliance.stderr_lines) }
    }
}

/// The data directory of an appliance that was started and stopped once; created on first use.
fn template_data() -> &'static Path {
    static TEMPLATE: OnceLock<(Builder, PathBuf)> = OnceLock::new();
    let (_keeps_the_directory, data) = TEMPLATE.get_or_init(|| {
        let mut appliance = Appliance::builder().start();
        appliance.stop();
        (appliance.settings(), appliance.data())
    });
    data
}

/// Copies a directory, keeping owners and modes.
fn copy_directory(from: &Path, to: &Path) {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output().expect("there is a cp");
    assert!(output.status.success(), "cp: {}", String::from_utf8_lossy(&output.stderr));
}

/// The result of a command that ran until it exited.
#[derive(Debug)]
pub(crate) struct CompletedRun {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl CompletedRun {
    /// Fails unless the exit status is `code`; returns itself.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output, then standard error.
    pub(crate) fn output(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

fn holds_within(bound: Duration, mut holds: impl FnMut() -> bool) -> bool {
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
    stdout_lines: Arc<Mutex<Vec<String>>>,
    stderr_lines: Arc<Mutex<Vec<String>>>,
}

impl Appliance {
    /// `serve` on a free port, with a new data directory and an empty configuration.
    pub(crate) fn builder() -> Builder {
        Builder::new()
    }

    /// Waits for the log line with the address it listens on.
    pub(crate) fn wait_listening(&mut self) {
        let address = within(HANG_TIMEOUT * 2, "the appliance listens", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            let last = || self.log().last().map(Value::to_string).unwrap_or_default();
            assert!(ended.is_none(), "the appliance ended ({ended:?}) before it listened: {}", last());
            self.logged("listening").first().and_then(|line| find_address(&line.to_string()))
        });
        self.address = Some(address);
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("it listens")
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.settings.data()
    }

    /// The settings it was started with.
    pub(crate) fn settings(&self) -> Builder {
        self.settings.clone()
    }

    /// Sends a request on a new connection; fails if there is no answer.
    pub(crate) fn send(&self, request: &Request) -> Response {
        let answer = Connection::open(self.address()).and_then(|mut connection| connection.send(request));
        answer.unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    /// Sends a `GET` on a new connection.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    /// Sends a `POST` with a JSON body on a new connection.
    pub(crate) fn post(&self, target: &str, body: &str) -> Response {
        self.send(&Request::post_json(target, body))
    }

    /// Opens a keep-alive connection.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address()).expect("the appliance accepts connections")
    }

    /// The lines of its standard output so far.
    pub(crate) fn stdout_lines(&self) -> Vec<String> {
        self.stdout_lines.lock().expect("no reader panics").clone()
    }

    /// The lines of its standard error so far.
    pub(crate) fn stderr_lines(&self) -> Vec<String> {
        self.stderr_lines.lock().expect("no reader panics").clone()
    }

    /// Its log entries so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.stdout_lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Its log entries so far with that message.
    pub(crate) fn logged(&self, message: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["message"] == message).collect()
    }

    /// Waits for a log entry.
    pub(crate) fn wait_log(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || self.log().into_iter().find(|line| wanted(line)))
    }

    /// Waits for the access-log entry of the request with that id.
    pub(crate) fn access(&self, request_id: &str) -> Value {
        let wanted = |line: &Value| line["request_id"] == request_id && line.get("status_code").is_some();
        // The shared appliance has thousands of lines: parse only those that contain the id.
        eventually("the access line", || {
            let lines = self.stdout_lines.lock().expect("no reader panics");
            let mentioning = lines.iter().filter(|line| line.contains(request_id));
            mentioning.filter_map(|line| serde_json::from_str(line).ok()).find(wanted)
        })
    }

    /// A connection to the PostgreSQL it manages.
    pub(crate) fn sql(&self) -> Sql {
        let data = self.data();
        let password = std::fs::read_to_string(data.join("postgres/password")).expect("the password is kept");
        let run = data.join("run");
        let config = Sql::on_socket(&run, 5432, "postgres", password.trim(), "attendance_db");
        Sql::connect(&config).expect("the managed PostgreSQL answers")
    }

    fn child(&self, name: &str) -> Option<ProcessInfo> {
        super::children_of(self.pid()).into_iter().find(|process| process.name == name)
    }

    /// The postmaster it manages, if one runs.
    pub(crate) fn postgres_child(&self) -> Option<ProcessInfo> {
        self.child("postgres")
    }

    /// The built-in Redis: the child that runs the appliance's own program.
    pub(crate) fn redis_child(&self) -> Option<ProcessInfo> {
        let is_redis = |process: &ProcessInfo| {
            let command = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            String::from_utf8_lossy(&command).contains("mini-redis-child")
        };
        super::children_of(self.pid()).into_iter().find(is_redis)
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        signal(self.pid(), Signal::SIGTERM);
    }

    /// Waits until it has exited.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("it runs");
        let pid = child.id();
        let status = within(HANG_TIMEOUT * 2, "the appliance ends", || child.try_wait().expect("it is our child"));
        reaper::unregister(pid);
        self.child = None;
        status
    }

    /// Stops it with SIGTERM; fails unless it exits with 0 and leaves no descendant.
    pub(crate) fn stop(&mut self) {
        let processes = descendants(self.pid());
        self.terminate();
        let status = self.wait();
        assert!(status.success(), "stopped with {status}");
        assert_all_exited(&processes);
    }

    /// Kills it with SIGKILL, as in a crash; fails unless its descendants end too.
    pub(crate) fn kill(&mut self) {
        let processes = descendants(self.pid());
        signal(self.pid(), Signal::SIGKILL);
        self.wait();
        // A child that a test has stopped with SIGSTOP handles no other signal before SIGCONT.
        processes
            .iter()
            .filter(|process| process.is_running())
            .for_each(|process| try_signal(process.pid, Signal::SIGCONT));
        assert_all_exited(&processes);
    }

    /// Kills it with SIGKILL and starts it at once, while its descendants are still ending.
    pub(crate) fn kill_and_start_at_once(&mut self) {
        signal(self.pid(), Signal::SIGKILL);
        let mut killed = self.child.take().expect("it runs");
        let mut next = self.settings.clone().spawn();
        let pid = killed.id();
        let _ = killed.wait();
        reaper::unregister(pid);
        next.wait_listening();
        *self = next;
    }

    /// Starts it again with its settings and data; it must have exited.
    pub(crate) fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        *self = self.settings.clone().start();
    }
}

fn assert_all_exited(processes: &[ProcessInfo]) {
    let names = processes.iter().map(|process| process.name.as_str()).collect::<Vec<_>>().join(", ");
    eventually(&format!("all its descendants have exited ({names})"), || {
        processes.iter().all(|process| !process.is_running()).then_some(())
    });
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
            let lines = self.stdout_lines();
            eprintln!("--- output of the appliance (the last of {} lines):", lines.len());
            lines.iter().rev().take(60).rev().for_each(|line| eprintln!("{line}"));
            self.stderr_lines().iter().for_each(|line| eprintln!("stderr: {line}"));
            if let Some(mut child) = self.child.take() {
                let _ = child.kill();
                let _ = child.wait();
                reaper::unregister(child.id());
            }
        } else if self.child.is_some() {
            let shared_memory = shared_memory_of(&descendants(self.pid()));
            self.kill();
            for file in shared_memory {
                let _ = std::fs::remove_file(file);
            }
        }
    }
}
