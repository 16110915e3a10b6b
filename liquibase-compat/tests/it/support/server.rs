//! One PostgreSQL server for the whole test binary.
//!
//! Its programs are found in `$ATTENDANCE_TEST_PG_BIN`, else in the packed distribution under `target/postgres`, else under
//! `/usr/lib/postgresql`. It listens on a Unix socket only. It is stopped, and its directory removed, by a shell that waits for a
//! pipe from this process to close: so it does not outlive the tests, however they end.

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const PACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/postgres/postgres.tar.zst");
const STARTS_WITHIN: Duration = Duration::from_secs(120);

struct Server {
    programs: PathBuf,
    directory: PathBuf,
    /// Closed when this process ends.
    _alive: ChildStdin,
}

/// Where clients connect.
pub(crate) fn socket_directory() -> &'static Path {
    &server().directory
}

/// The schema of a database as the recordings have it, without the two Liquibase tables.
pub(crate) fn pg_dump(database: &str) -> String {
    let server = server();
    let output = Command::new(server.programs.join("pg_dump"))
        .args([
            "--schema-only",
            "--no-owner",
            "--no-privileges",
            "-T",
            "databasechangelog",
            "-T",
            "databasechangeloglock",
        ])
        .args(["-U", "postgres", "-h"])
        .arg(&server.directory)
        .arg(database)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let noise = |line: &&str| {
        let line = line.trim();
        !(line.is_empty()
            || line.starts_with("--")
            || line.starts_with("SET ")
            || line.contains("set_config")
            || line.starts_with('\\'))
    };
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(noise).map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

fn start() -> Server {
    let directory = std::env::temp_dir().join(format!("liquibase-compat-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let programs = find_programs(&directory);
    if is_root() {
        let (user, group) = nobody();
        std::os::unix::fs::chown(&directory, Some(user), Some(group)).unwrap();
    }
    let data = directory.join("data");
    let initialised = unprivileged(&programs.join("initdb"))
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(initialised.status.success(), "initdb: {}", String::from_utf8_lossy(&initialised.stderr));
    let alive = launch(&programs, &directory, &data);
    let socket = directory.join(".s.PGSQL.5432");
    let started = Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_err() || !answers(&programs, &directory) {
        assert!(started.elapsed() < STARTS_WITHIN, "PostgreSQL does not start, see {}/log", directory.display());
        std::thread::sleep(Duration::from_millis(50));
    }
    Server { programs, directory, _alive: alive }
}

fn answers(programs: &Path, directory: &Path) -> bool {
    let mut ready = Command::new(programs.join("pg_isready"));
    ready.args(["-q", "-U", "postgres", "-h"]).arg(directory).status().is_ok_and(|status| status.success())
}

fn launch(programs: &Path, directory: &Path, data: &Path) -> ChildStdin {
    let script = r#"directory=$1; shift; "$@" >"$directory/log" 2>&1 & server=$!; read _; kill -INT $server; wait $server; rm -rf "$directory""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(directory);
    let postgres = unprivileged(&programs.join("postgres"));
    command.arg(postgres.get_program()).args(postgres.get_args());
    command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200", "-k"]);
    command.arg(directory).arg("-D").arg(data).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
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
    if let Ok(packed) = std::fs::read(PACKED) {
        let tar = zstd::decode_all(packed.as_slice()).unwrap();
        let target = directory.join("programs");
        tar::Archive::new(tar.as_slice()).unpack(&target).unwrap();
        return holding_initdb(&target).expect("the packed distribution holds bin/initdb");
    }
    let mut installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    installed.sort();
    installed.pop().expect(
        "no PostgreSQL to test with: run packaging/postgres/fetch.sh, install Debian's package postgresql, or set \
         ATTENDANCE_TEST_PG_BIN to a directory with initdb, postgres and pg_dump",
    )
}

fn holding_initdb(directory: &Path) -> Option<PathBuf> {
    if directory.join("initdb").is_file() {
        return Some(directory.to_owned());
    }
    let mut entries = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    entries.find_map(|path| if path.is_dir() { holding_initdb(&path) } else { None })
}
