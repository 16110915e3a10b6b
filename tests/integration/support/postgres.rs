//! An external PostgreSQL: reached over TCP with a password, with a cluster of its own.
//!
//! Policy: its programs are those of the distribution that the appliance embeds, unpacked once per test process. It runs
//! without fsync; durability is tested on the PostgreSQL that the appliance manages itself.

use std::borrow::Cow;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use nix::sys::signal::Signal;
use tokio_postgres::Config;

use super::process::{as_unprivileged_user, descendants, shared_memory_of};
use super::{
    PgBouncer, Scratch, Sql, eventually, free_port, reaper, scratch, signal, try_signal, unique, unprivileged_user,
};

const ARCHIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/postgres/postgres.tar.x86.zst");

/// A comment of a `postgres:` section that names the server behind a pooler. It becomes a setting if the test has none.
const LISTEN_URL_DEFAULT: &str = "  #listen_url: ";

/// The text of a configuration file, with the server to LISTEN on where the pooler in use does not pass announcements on.
pub(super) fn with_listen_url(config: &str) -> Cow<'_, str> {
    if config.contains("  listen_url: ") {
        return config.into();
    }
    config.replace(LISTEN_URL_DEFAULT, "  listen_url: ").into()
}

/// The directory of the programs, unpacked on first use.
pub(crate) fn bin_dir() -> &'static Path {
    static UNPACKED: OnceLock<PathBuf> = OnceLock::new();
    UNPACKED.get_or_init(|| {
        let packed = fs::read(ARCHIVE).unwrap_or_else(|error| panic!("run `make postgres`: {ARCHIVE}: {error}"));
        let target = scratch::base().join("postgres-programs");
        let filtered = zstd::stream::read::Decoder::new(packed.as_slice()).expect("the archive is zstd");
        let tar = lzma_rust2::filter::bcj::BcjReader::new_x86(filtered, 0);
        tar::Archive::new(tar).unpack(&target).expect("the archive is a tar");
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
    programs: PathBuf,
    child: Option<Child>,
    directory: Scratch,
    /// The address it listens on.
    address: String,
    /// The port it listens on.
    pub(crate) port: u16,
    /// The password of the role `postgres`.
    pub(crate) password: String,
    /// What appliances connect to instead.
    pooler: Option<PgBouncer>,
}

impl Postgres {
    /// Creates a cluster, starts the server and waits until it answers.
    pub(crate) fn start() -> Self {
        let mut server = Self::stopped();
        server.restart();
        server
    }

    /// Like [`start`](Self::start), with the programs in this directory.
    pub(crate) fn start_with(programs: &Path) -> Self {
        let mut server = Self::stopped_with(programs);
        server.restart();
        server
    }

    /// Creates a cluster without starting the server.
    pub(crate) fn stopped() -> Self {
        Self::stopped_with(bin_dir())
    }

    fn stopped_with(programs: &Path) -> Self {
        let directory = Scratch::new("pg");
        let password = "p0stgres-sécret".to_owned();
        let address = "127.0.0.1".to_owned();
        let server = Self {
            programs: programs.to_owned(),
            child: None,
            directory,
            address,
            port: free_port(),
            password,
            pooler: None,
        };
        server.initialize();
        server
    }

    /// A server with a copy of this one's data, which must not run, at another address and the same port. It is not started.
    pub(crate) fn copy_at(&self, address: &str) -> Self {
        assert!(self.child.is_none(), "the data of a running server cannot be copied");
        let directory = Scratch::new("pg");
        let copied =
            Command::new("cp").arg("-a").arg(self.data()).arg(directory.path()).status().expect("there is a cp");
        assert!(copied.success(), "cp: {copied}");
        if let Some(user) = unprivileged_user() {
            std::os::unix::fs::chown(directory.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("root may give a directory away");
        }
        Self {
            programs: self.programs.clone(),
            child: None,
            directory,
            address: address.to_owned(),
            port: self.port,
            password: self.password.clone(),
            pooler: None,
        }
    }

    /// Makes this server, which must not run, a standby that follows `primary`.
    pub(crate) fn follow(&self, primary: &Self) {
        let Self { address, port, password, .. } = primary;
        let source = format!("primary_conninfo = 'host={address} port={port} user=postgres password={password}'\n");
        fs::write(self.data().join("postgresql.auto.conf"), source).expect("the configuration can be written");
        fs::write(self.data().join("standby.signal"), "").expect("a file can be made");
    }

    /// Stops the server cleanly.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(child.id(), Signal::SIGINT);
            let pid = child.id();
            eventually("the external PostgreSQL stops", || child.try_wait().expect("it is our child"));
            reaper::unregister(pid);
        }
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
        let mut command = Command::new(self.programs.join("initdb"));
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
        let mut command = Command::new(self.programs.join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", &format!("listen_addresses={}", self.address)])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
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
        config.host(&self.address).port(self.port).user("postgres").password(&self.password).dbname(database);
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

    /// Lets the configuration of appliances lead to a pooler.
    pub(crate) fn put_behind(&mut self, pooler: PgBouncer) {
        self.pooler = Some(pooler);
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A `postgres:` configuration section for one of its databases, through the pooler if there is one.
    pub(crate) fn config(&self, database: &str) -> String {
        let Some(pooler) = &self.pooler else { return self.direct_config(database) };
        let mut section = pooler.config(database);
        if !pooler.passes_announcements() {
            section.push_str(&format!("{LISTEN_URL_DEFAULT}postgres://{}:{}\n", self.address, self.port));
        }
        section
    }

    /// A `postgres:` configuration section for one of its databases.
    pub(crate) fn direct_config(&self, database: &str) -> String {
        let Self { address, port, password, .. } = self;
        format!(
            "postgres:\n  database: {database}\n  host: {address}\n  port: {port}\n  user: postgres\n  password: \"{password}\"\n"
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
