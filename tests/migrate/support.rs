//! A server, databases on it, the binary, and questions to them.

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

const PACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/postgres/postgres.tar.zst");
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// A private PostgreSQL. It is stopped, and its directory removed, by a shell that waits for a pipe from this process to close.
struct Server {
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    _alive: ChildStdin,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// A directory for files of the tests; gone with the server.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = server().directory.join("scratch").join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A database of its own.
pub(crate) struct Database {
    pub(crate) name: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        Self { name }
    }

    /// What `--url` takes.
    pub(crate) fn url(&self) -> String {
        format!("jdbc:postgresql://127.0.0.1:{}/{}", server().port, self.name)
    }

    /// The `postgres:` section of a configuration.
    pub(crate) fn section(&self) -> String {
        format!("postgres: {{ host: 127.0.0.1, port: {}, user: postgres, database: {} }}\n", server().port, self.name)
    }

    /// `attendance-api migrate` on this database, in a directory.
    pub(crate) fn migrate(&self, directory: &Path, arguments: &[&str]) -> Output {
        self.command(directory, arguments).output().unwrap()
    }

    /// The same, not started yet.
    pub(crate) fn command(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attendance-api"));
        command.arg("migrate").args(["--username", "postgres", "--url"]).arg(self.url()).args(arguments);
        command.current_dir(directory).stdin(Stdio::null());
        command
    }

    /// `migrate` that must succeed; its standard output.
    pub(crate) fn migrated(&self, directory: &Path, arguments: &[&str]) -> String {
        let output = self.migrate(directory, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs SQL.
    pub(crate) fn run(&self, sql: &str) -> String {
        psql(&self.name, sql)
    }

    /// Runs a script as a person would.
    pub(crate) fn script(&self, script: &str) {
        psql(&self.name, script);
    }

    /// The same, for a script that may fail.
    pub(crate) fn try_script(&self, script: &str) -> Result<(), String> {
        try_psql(&self.name, script).map(drop)
    }

    /// Rows of a query as JSON objects.
    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        let found = self.run(&format!("SELECT row_to_json(q) FROM ({query}) q"));
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The history, without what differs from run to run.
    pub(crate) fn history(&self) -> Vec<Value> {
        self.rows(
            "SELECT id, author, filename, orderexecuted, exectype, md5sum, description, comments, tag, contexts, labels, \
             dense_rank() OVER (ORDER BY deployment_id) AS deployment FROM databasechangelog \
             ORDER BY dateexecuted, orderexecuted",
        )
    }

    /// Whether there is a history.
    pub(crate) fn has_history(&self) -> bool {
        self.run("SELECT to_regclass('databasechangelog') IS NOT NULL").trim() == "t"
    }

    /// The schema as the recordings have it.
    pub(crate) fn schema(&self) -> String {
        let mut dump = Command::new(server().programs.join("pg_dump"));
        dump.args([
            "--schema-only",
            "--no-owner",
            "--no-privileges",
            "-T",
            "databasechangelog",
            "-T",
            "databasechangeloglock",
        ]);
        let output =
            dump.args(["-h", "127.0.0.1", "-U", "postgres", "-p"]).arg(server().port.to_string()).arg(&self.name);
        let output = output.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        // Only lines of pg_dump itself: a comment inside of a function stands further in.
        let noise = |line: &&str| {
            line.trim().is_empty()
                || line.starts_with("--")
                || line.starts_with("SET ")
                || line.contains("set_config")
                || line.starts_with('\\')
        };
        text(&output.stdout).lines().filter(|line| !noise(line)).map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// The rows of every table but the two of Liquibase, by table, each table's sorted by their text.
    pub(crate) fn data(&self) -> Value {
        let tables = self.run(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', \
             'information_schema') AND tablename NOT IN ('databasechangelog', 'databasechangeloglock') ORDER BY 1",
        );
        let mut data = serde_json::Map::new();
        for table in tables.lines() {
            let mut rows = self.rows(&format!("SELECT * FROM {table}"));
            rows.iter_mut().for_each(without_times);
            rows.sort_by_key(ToString::to_string);
            data.insert(table.to_owned(), Value::Array(rows));
        }
        Value::Object(data)
    }
}

/// Blanks out the moments in a row, which differ from run to run: they alone have microseconds.
pub(crate) fn without_times(row: &mut Value) {
    let is_moment = |text: &str| text.len() > 20 && text.as_bytes()[10] == b'T' && text.as_bytes()[19] == b'.';
    for (_, value) in row.as_object_mut().into_iter().flatten() {
        if value.as_str().is_some_and(is_moment) {
            *value = "<TIME>".into();
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs SQL and gives its rows, unaligned.
fn psql(database: &str, sql: &str) -> String {
    try_psql(database, sql).unwrap_or_else(|error| panic!("psql on {database}: {error}"))
}

fn try_psql(database: &str, sql: &str) -> Result<String, String> {
    let mut command = Command::new(server().programs.join("psql"));
    command.args([
        "-X",
        "-q",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-d",
        database,
        "-p",
    ]);
    command.arg(server().port.to_string()).env("PGOPTIONS", "-c client_min_messages=warning");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql can be run");
    let mut input = child.stdin.take().unwrap();
    let sql = sql.to_owned();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, sql.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().ok();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn start() -> Server {
    let directory = std::env::temp_dir().join(format!("migrate-tests-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("scratch")).unwrap();
    let programs = find_programs(&directory);
    let data = directory.join("data");
    std::fs::create_dir(&data).unwrap();
    if is_root() {
        let (user, group) = nobody();
        std::os::unix::fs::chown(&data, Some(user), Some(group)).unwrap();
    }
    let initialised = unprivileged(&programs.join("initdb"))
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(initialised.status.success(), "initdb: {}", text(&initialised.stderr));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let alive = launch(&programs, &directory, &data, port);
    let started = Instant::now();
    while !answers(&programs, port) {
        assert!(started.elapsed() < STARTS_WITHIN, "PostgreSQL does not start, see {}/log", directory.display());
        std::thread::sleep(Duration::from_millis(50));
    }
    Server { programs, directory, port, _alive: alive }
}

fn answers(programs: &Path, port: u16) -> bool {
    let mut ready = Command::new(programs.join("pg_isready"));
    ready.args(["-q", "-h", "127.0.0.1", "-U", "postgres", "-p", &port.to_string()]);
    ready.status().is_ok_and(|status| status.success())
}

fn launch(programs: &Path, directory: &Path, data: &Path, port: u16) -> ChildStdin {
    let script = r#"directory=$1; shift; "$@" >"$directory/log" 2>&1 & server=$!; read _; kill -INT $server; wait $server; rm -rf "$directory""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(directory);
    let postgres = unprivileged(&programs.join("postgres"));
    command.arg(postgres.get_program()).args(postgres.get_args());
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200"]);
    command.args(["-c", "unix_socket_directories=", "-p", &port.to_string(), "-D"]).arg(data);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // Its own group: Ctrl-C reaches the tests, and the end of the tests reaches the server.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.env("LC_ALL", "C").spawn().unwrap().stdin.take().unwrap()
}

/// A command that does not run as root, which PostgreSQL refuses.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
    command
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

fn nobody() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("nobody:")).expect("a user nobody in /etc/passwd");
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

fn find_programs(directory: &Path) -> PathBuf {
    if let Some(named) = std::env::var_os("ATTENDANCE_TEST_PG_BIN") {
        return PathBuf::from(named);
    }
    let packed = std::fs::read(PACKED).unwrap_or_else(|error| panic!("run `make postgres`: {PACKED}: {error}"));
    let tar = zstd::decode_all(packed.as_slice()).unwrap();
    let target = directory.join("programs");
    tar::Archive::new(tar.as_slice()).unpack(&target).unwrap();
    holding_initdb(&target).expect("the packed distribution holds bin/initdb")
}

fn holding_initdb(directory: &Path) -> Option<PathBuf> {
    if directory.join("initdb").is_file() {
        return Some(directory.to_owned());
    }
    let mut entries = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    entries.find_map(|path| if path.is_dir() { holding_initdb(&path) } else { None })
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
