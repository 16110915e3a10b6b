//! The shared server, databases on it, and commands and queries on them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::private_postgres::PrivatePostgres;
use crate::recording;

fn server() -> &'static PrivatePostgres {
    static SERVER: OnceLock<PrivatePostgres> = OnceLock::new();
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/postgres/postgres.tar.x86.zst");
    SERVER.get_or_init(|| PrivatePostgres::start("migrate-tests", Path::new(packed)))
}

/// A new, empty directory for files of one test: two with one name would share their files. It is removed with the server.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = server().directory.join("scratch").join(format!("{name}-{number}"));
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

    /// The value of `--url`.
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

    /// A `migrate` command that has not started yet.
    pub(crate) fn command(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attendance-api"));
        command.arg("migrate").args(["--username", "postgres", "--url"]).arg(self.url()).args(arguments);
        command.current_dir(directory).stdin(Stdio::null());
        command
    }

    /// Runs `migrate`, which must succeed, and returns its standard output.
    pub(crate) fn migrated(&self, directory: &Path, arguments: &[&str]) -> String {
        let output = self.migrate(directory, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs SQL.
    pub(crate) fn run(&self, sql: &str) -> String {
        psql(&self.name, sql)
    }

    /// Runs a script with psql.
    pub(crate) fn script(&self, script: &str) {
        psql(&self.name, script);
    }

    /// Runs a script that may fail with psql.
    pub(crate) fn try_script(&self, script: &str) -> Result<(), String> {
        try_psql(&self.name, script).map(drop)
    }

    /// Rows of a query as JSON objects.
    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        let found = self.run(&format!("SELECT row_to_json(q) FROM ({query}) q"));
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The history, without the columns that differ from run to run.
    pub(crate) fn history(&self) -> Vec<Value> {
        self.rows(
            "SELECT id, author, filename, orderexecuted, exectype, md5sum, description, comments, tag, contexts, labels, \
             dense_rank() OVER (ORDER BY deployment_id) AS deployment FROM databasechangelog \
             ORDER BY dateexecuted, orderexecuted",
        )
    }

    /// Whether DATABASECHANGELOG exists.
    pub(crate) fn has_history(&self) -> bool {
        self.run("SELECT to_regclass('databasechangelog') IS NOT NULL").trim() == "t"
    }

    /// The schema in the form of the recordings.
    pub(crate) fn schema(&self) -> String {
        recording::schema(server(), &self.name)
    }

    /// The rows of every table except the two of Liquibase, by table, sorted by their text.
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

/// Masks the times of the run in a row. They are the only values with microseconds.
pub(crate) fn without_times(row: &mut Value) {
    let is_run_time = |text: &str| text.len() > 20 && text.as_bytes()[10] == b'T' && text.as_bytes()[19] == b'.';
    for (_, value) in row.as_object_mut().into_iter().flatten() {
        if value.as_str().is_some_and(is_run_time) {
            *value = "<TIME>".into();
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs SQL and returns its rows, unaligned.
fn psql(database: &str, sql: &str) -> String {
    try_psql(database, sql).unwrap_or_else(|error| panic!("psql on {database}: {error}"))
}

fn try_psql(database: &str, sql: &str) -> Result<String, String> {
    let mut command = server().client("psql");
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]);
    command.env("PGOPTIONS", "-c client_min_messages=warning");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql can be run");
    let mut input = child.stdin.take().unwrap();
    let sql = sql.to_owned();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, sql.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().ok();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
