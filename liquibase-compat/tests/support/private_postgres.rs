//! A PostgreSQL server for one test binary. Two test binaries include this file.
//!
//! Its programs come from `$ATTENDANCE_TEST_PG_BIN`, the packed distribution in `target/postgres`, or `/usr/lib/postgresql`, in this
//! order. A shell waits until the pipe from this process closes, then stops the server and removes its directory. The server therefore
//! stops with the tests, however they end.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A running server. Its user is `postgres`, without a password.
pub(crate) struct PrivatePostgres {
    programs: PathBuf,
    /// Removed at the end. The server's socket is in `socket`.
    pub(crate) directory: PathBuf,
    /// The port on 127.0.0.1, which is also part of the socket's name.
    pub(crate) port: u16,
    /// The pipe to the shell. It closes when this process ends.
    _stop_on_drop: ChildStdin,
}

impl PrivatePostgres {
    /// Starts a server in a temporary directory of that name. `packed` is the archive of the distribution.
    pub(crate) fn start(name: &str, packed: &Path) -> Self {
        let directory = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let data = directory.join("data");
        let socket = directory.join("socket");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::create_dir_all(&socket).unwrap();
        let programs = find_programs(packed, &directory);
        if is_root() {
            let (user, group) = nobody_ids();
            for path in [&data, &socket] {
                std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
            }
        }
        let initialised = unprivileged(&programs.join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(initialised.status.success(), "initdb: {}", String::from_utf8_lossy(&initialised.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { _stop_on_drop: launch(&programs, &directory, port), programs, directory, port };
        let started = Instant::now();
        while !server.client("pg_isready").arg("-q").status().is_ok_and(|status| status.success()) {
            assert!(started.elapsed() < START_TIMEOUT, "PostgreSQL does not start: {}/log", server.directory.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// A client program, with the options to connect to the server.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.args(["-U", "postgres", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        command
    }
}

fn launch(programs: &Path, directory: &Path, port: u16) -> ChildStdin {
    let script = r#"directory=$1; shift; "$@" >"$directory/log" 2>&1 & server=$!; read _; kill -INT $server; wait $server; rm -rf "$directory""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(directory);
    let postgres = unprivileged(&programs.join("postgres"));
    command.arg(postgres.get_program()).args(postgres.get_args());
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200"]);
    command.args(["-p", &port.to_string(), "-k"]).arg(directory.join("socket")).arg("-D").arg(directory.join("data"));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // A process group of its own: Ctrl-C must end the tests only, because the end of the tests stops the server.
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

fn nobody_ids() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("nobody:")).expect("a user nobody in /etc/passwd");
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

fn find_programs(packed: &Path, directory: &Path) -> PathBuf {
    if let Some(named) = std::env::var_os("ATTENDANCE_TEST_PG_BIN") {
        return PathBuf::from(named);
    }
    if let Ok(packed) = std::fs::read(packed) {
        let filtered = zstd::stream::read::Decoder::new(packed.as_slice()).unwrap();
        let tar = lzma_rust2::filter::bcj::BcjReader::new_x86(filtered, 0);
        let target = directory.join("programs");
        tar::Archive::new(tar).unpack(&target).unwrap();
        return directory_with_initdb(&target).expect("the packed distribution holds bin/initdb");
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

fn directory_with_initdb(directory: &Path) -> Option<PathBuf> {
    if directory.join("initdb").is_file() {
        return Some(directory.to_owned());
    }
    let mut entries = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    entries.find_map(|path| if path.is_dir() { directory_with_initdb(&path) } else { None })
}
