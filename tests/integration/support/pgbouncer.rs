//! PgBouncer in front of an external PostgreSQL.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::process::as_unprivileged_user;
use super::{Postgres, Scratch, Sql, eventually, free_port, reaper, unprivileged_user};

/// To whom PgBouncer lends a server connection, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolMode {
    /// Until the client disconnects.
    Session,
    /// For a transaction.
    Transaction,
    /// For a statement; transactions are refused.
    Statement,
}

impl PoolMode {
    /// The word of PgBouncer's configuration.
    fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Statement => "statement",
        }
    }

    /// The mode with that word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Session, Self::Transaction, Self::Statement].into_iter().find(|mode| mode.word() == word)
    }
}

/// A running PgBouncer. It passes every database and every role of its server on.
pub(crate) struct PgBouncer {
    child: Child,
    directory: Scratch,
    /// The port it listens on, at 127.0.0.1.
    pub(crate) port: u16,
    password: String,
    mode: PoolMode,
}

impl PgBouncer {
    /// Starts it with at most `size` server connections for each role and database. Each transaction has the one that was not used for the longest time.
    pub(crate) fn start(server: &Postgres, mode: PoolMode, size: usize) -> Self {
        let directory = Scratch::new("pgbouncer");
        let port = free_port();
        // It logs in as this role to ask for the passwords of the others.
        let users = directory.file("users", &format!("\"postgres\" \"{}\"\n", server.password));
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_user = postgres\nauth_file = {}\nadmin_users = postgres\n\
             pool_mode = {}\ndefault_pool_size = {size}\nmax_client_conn = 1000\nserver_login_retry = 1\nserver_idle_timeout = 2\n\
             server_round_robin = 1\n",
            server.address(),
            server.port,
            users.display(),
            mode.word()
        );
        let settings = directory.file("pgbouncer.ini", &settings);
        if let Some(user) = unprivileged_user() {
            std::os::unix::fs::chown(directory.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("root may give a directory away");
        }
        let log = fs::File::create(directory.path().join("log")).expect("a log can be written");
        let mut command = Command::new(program());
        command.arg(settings).current_dir(directory.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = as_unprivileged_user(&mut command).spawn();
        let mut child = child.expect("pgbouncer is needed: run `apt-get install pgbouncer`");
        reaper::register(child.id());
        eventually("PgBouncer listens", || {
            let ended = child.try_wait().expect("it is our child");
            let log = || fs::read_to_string(directory.path().join("log")).unwrap_or_default();
            assert!(ended.is_none(), "PgBouncer ended: {}", log());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { child, directory, port, password: server.password.clone(), mode }
    }

    /// A connection through it to one of the databases.
    pub(crate) fn sql(&self, database: &str) -> Sql {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres").password(&self.password).dbname(database);
        Sql::connect(&config).unwrap_or_else(|error| panic!("{error}: {}", self.log()))
    }

    /// A `postgres:` configuration section for one of the databases.
    pub(crate) fn config(&self, database: &str) -> String {
        let Self { port, password, .. } = self;
        format!(
            "postgres:\n  database: {database}\n  host: 127.0.0.1\n  port: {port}\n  user: postgres\n  password: \"{password}\"\n"
        )
    }

    /// Whether sessions can LISTEN through it.
    pub(crate) fn passes_announcements(&self) -> bool {
        self.mode == PoolMode::Session
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

/// Debian installs it into a directory that is not in the PATH of every user.
fn program() -> PathBuf {
    let installed = PathBuf::from("/usr/sbin/pgbouncer");
    if installed.exists() { installed } else { PathBuf::from("pgbouncer") }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        reaper::unregister(self.child.id());
    }
}
