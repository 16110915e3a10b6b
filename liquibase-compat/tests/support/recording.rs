//! What replays recordings of the real Liquibase. Two test binaries include this file.

use std::path::Path;

use crate::private_postgres::PrivatePostgres;

/// The schema of a database in the form of the recordings, without the two tables of Liquibase.
pub(crate) fn schema(server: &PrivatePostgres, database: &str) -> String {
    let mut dump = server.client("pg_dump");
    dump.args(["--schema-only", "--no-owner", "--no-privileges"]);
    dump.args(["-T", "databasechangelog", "-T", "databasechangeloglock"]);
    let output = dump.arg(database).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Only lines of pg_dump itself: a comment inside a function is indented.
    let is_noise = |line: &str| {
        line.trim().is_empty()
            || line.starts_with("--")
            || line.starts_with("SET ")
            || line.contains("set_config")
            || line.starts_with('\\')
    };
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !is_noise(line)).map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Copies a directory with its content.
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
