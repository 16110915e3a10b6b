//! One PostgreSQL server for the whole test binary.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::private_postgres::PrivatePostgres;
use crate::recording;

/// The directory of the socket, and the port.
pub(crate) fn address() -> (PathBuf, u16) {
    (server().directory.join("socket"), server().port)
}

/// The schema of a database in the form of the recordings, without the two Liquibase tables.
pub(crate) fn pg_dump(database: &str) -> String {
    recording::schema(server(), database)
}

fn server() -> &'static PrivatePostgres {
    static SERVER: OnceLock<PrivatePostgres> = OnceLock::new();
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/postgres/postgres.tar.x86.zst");
    SERVER.get_or_init(|| PrivatePostgres::start("liquibase-compat", Path::new(packed)))
}
