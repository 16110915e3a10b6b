//! An external PostgreSQL: reached over TCP with a password, with a cluster of its own.
//!
//! Policy: its programs are those of the distribution that the appliance embeds, unpacked once per test process. It runs
//! without fsync; durability is tested on the PostgreSQL that the appliance manages itself.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use nix::sys::signal::Signal;
use tokio_postgres::Config;

use super::process::{as_unprivileged_user, descendants, shared_memory_of};
use super::{Scratch, Sql, eventually, free_port, reaper, scratch, signal, try_signal, unique, unprivileged_user};

const ARCHIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/postgres/postgres.tar.zst");

/// The directory of the programs, unpacked on first use.
pub(crate) fn bin_dir() -> &'static Path {
    static UNPACKED: OnceLock<PathBuf> = OnceLock::new();
    UNPACKED.get_or_init(|| {
        let packed = fs::read(ARCHIVE).unwrap_or_else(|error| panic!("run `make postgres`: {ARCHIVE}: {error}"));
        let target = scratch::base().join("postgres-programs");
        let tar = zstd::decode_all(packed.as_slice()).expect("the archive is zstd");
        tar::Archive::new(tar.as_slice()).unpack(&target).expect("the archive is a tar");
        find_programs(&target).expect("the archive holds bin/initdb")
    })
}

fn find_programs(directory: &Path) -> Option<PathBuf> {
    if directory.file_name().is_some_and(|name| name == "bin") && directory.join("initdb").exists() {
        return Some(directory.to_owned());
    }
    let entries = fs::read_dir(directory).ok()?;
    entries.flatten().filter(|entry| entry.path().is_dir()).find_map(|entry| find_programs(&entry.path()))
}

/// A server on a fixed port that can be killed, restarted, frozen and thawed.
pub(crate) struct Postgres {
    child: Option<Child>,
    directory: Scratch,
    /// The port it listens on, at 127.0.0.1.
    pub(crate) port: u16,
    /// The password of the role `postgres`.
    pub(crate) password: String,
}

impl Postgres {
    /// Creates a cluster, starts the server and waits until it answers.
    pub(crate) fn start() -> Self {
        let mut server = Self::stopped();
        server.restart();
        server
    }

    /// Creates a cluster without starting the server.
    pub(crate) fn stopped() -> Self {
        let directory = Scratch::new("pg");
        let password = "p0stgres-sécret".to_owned();
        let server = Self { child: None, directory, port: free_port(), password };
        server.initialize();
        server
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn initialize(&self) {
        if let Some(user) = unprivileged_user() {
            std::os::unix::fs::chown(self.directory.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("root may give a directory away");
        }
        let password = self.directory.file("password", &self.password);
        let mut command = Command::new(bin_dir().join("initdb"));
        command
            .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg("--pwfile")
            .arg(password)
            .arg("--pgdata")
            .arg(self.data())
            .current_dir(self.directory.path());
        let output = as_unprivileged_user(&mut command).output().expect("initdb can be run");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts the server after [`stopped`](Self::stopped) or [`kill`](Self::kill) and waits until it answers.
    pub(crate) fn restart(&mut self) {
        self.launch();
        eventually("the external PostgreSQL answers", || {
            let died = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(died.is_none(), "the external PostgreSQL ended: {}", self.log());
            Sql::connect(&self.connection("postgres")).ok()
        });
    }

    /// Starts the server without waiting for it.
    pub(crate) fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = fs::File::create(self.directory.path().join("log")).expect("a log can be written");
        let mut command = Command::new(bin_dir().join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"])
            .args(["-c", "max_connections=200", "-c", "restart_after_crash=off"])
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = as_unprivileged_user(&mut command).spawn().expect("postgres can be run");
        reaper::register(child.id());
        self.child = Some(child);
    }

    fn log(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = fs::File::open(self.directory.path().join("log")) {
            let _ = file.read_to_string(&mut text);
        }
        text
    }

    /// Kills the postmaster and all backends with SIGKILL, as in a crash.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let backends = descendants(child.id());
            let _ = child.kill();
            let _ = child.wait();
            reaper::unregister(child.id());
            backends.iter().for_each(|backend| try_signal(backend.pid, Signal::SIGKILL));
            eventually("the backends end", || backends.iter().all(|process| !process.is_running()).then_some(()));
            let _ = fs::remove_file(self.data().join("postmaster.pid"));
        }
    }

    /// Suspends the postmaster and its backends with SIGSTOP: connections stay open and get no answer.
    pub(crate) fn freeze(&self) {
        self.signal_all(Signal::SIGSTOP);
    }

    /// Resumes it after [`freeze`](Self::freeze).
    pub(crate) fn thaw(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    fn signal_all(&self, signal_to_send: Signal) {
        let postmaster = self.child.as_ref().expect("the server runs").id();
        signal(postmaster, signal_to_send);
        super::children_of(postmaster).iter().for_each(|child| try_signal(child.pid, signal_to_send));
    }

    /// Connection settings for one of its databases.
    pub(crate) fn connection(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres").password(&self.password).dbname(database);
        config
    }

    /// Connects to one of its databases.
    pub(crate) fn sql(&self, database: &str) -> Sql {
        Sql::connect(&self.connection(database)).expect("the external PostgreSQL answers")
    }

    /// Creates an empty database and returns its name.
    pub(crate) fn create_database(&self) -> String {
        let name = unique("db").replace('-', "_");
        self.sql("postgres").run(&format!("CREATE DATABASE {name}"));
        name
    }

    /// A `postgres:` configuration section for one of its databases.
    pub(crate) fn config(&self, database: &str) -> String {
        let Self { port, password, .. } = self;
        format!(
            "postgres:\n  database: {database}\n  host: 127.0.0.1\n  port: {port}\n  user: postgres\n  password: \"{password}\"\n"
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let processes = self.child.as_ref().map(|child| descendants(child.id())).unwrap_or_default();
        let shared_memory = shared_memory_of(&processes);
        self.kill();
        for file in shared_memory {
            let _ = fs::remove_file(file);
        }
    }
}
