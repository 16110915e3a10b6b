//! One PostgreSQL server for the whole test binary.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::private_postgres::PrivatePostgres;

/// The directory of the socket, and the port.
pub(crate) fn address() -> (PathBuf, u16) {
    (server().directory.join("socket"), server().port)
}

/// The schema of a database in the form of the recordings, without the two Liquibase tables.
pub(crate) fn pg_dump(database: &str) -> String {
    let output = server()
        .client("pg_dump")
        .args([
            "--schema-only",
            "--no-owner",
            "--no-privileges",
            "-T",
            "databasechangelog",
            "-T",
            "databasechangeloglock",
        ])
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

fn server() -> &'static PrivatePostgres {
    static SERVER: OnceLock<PrivatePostgres> = OnceLock::new();
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/postgres/postgres.tar.x86.zst");
    SERVER.get_or_init(|| PrivatePostgres::start("liquibase-compat", Path::new(packed)))
}
