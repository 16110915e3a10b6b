//! The server process of the managed PostgreSQL: its command line, and when it is ready.
//!
//! Policy: everything that the appliance relies on is on the command line, which overrides the configuration files: how to reach the server,
//! what durability needs, what a statement means, and what is logged. So `ALTER SYSTEM` can tune the server, but neither
//! make it lose records nor keep the appliance out.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;
use tokio_postgres::error::SqlState;
use tracing::debug;

use super::cluster::Cluster;
use super::command::ChildCommand;
use super::config_files::AccessFiles;
use super::data_disk::DataDisk;
use super::endpoint::{Endpoint, PORT, SOCKET_NAME};
use super::installation::Installation;
use super::process::{BoxError, Program};
use super::stale_processes;
use crate::database::Database;

/// Time between two checks whether a starting server is ready.
const READY_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Settings that no file may change.
const SETTINGS: [&str; 41] = [
    // How to reach it: only through the socket, and with a free connection for the superuser.
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "unix_socket_group=",
    "superuser_reserved_connections=3",
    "ssl=off",
    "password_encryption=scram-sha-256",
    "session_preload_libraries=",
    "local_preload_libraries=",
    "pre_auth_delay=0",
    "post_auth_delay=0",
    // No acknowledged record is lost or left out, and none waits for another server.
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "synchronous_standby_names=",
    "zero_damaged_pages=off",
    "ignore_checksum_failure=off",
    "restart_after_crash=on",
    // After a crash, one sync of the file system instead of one for each of more than a thousand files.
    "recovery_init_sync_method=syncfs",
    // What a statement means, and how long it may take: the client decides on that.
    "search_path=\"$user\", public",
    "default_transaction_read_only=off",
    "default_transaction_isolation=read committed",
    "default_tablespace=",
    "default_table_access_method=heap",
    "standard_conforming_strings=on",
    "transform_null_equals=off",
    "statement_timeout=0",
    "lock_timeout=0",
    "idle_session_timeout=0",
    "idle_in_transaction_session_timeout=0",
    "jit=off",
    "ignore_system_indexes=off",
    "allow_system_table_mods=off",
    "timezone=UTC",
    // Cancels a statement whose client has disconnected.
    "client_connection_check_interval=1s",
    // Standard error goes to the log of the appliance, which must not contain statements: they may have personal data.
    "log_timezone=UTC",
    "log_destination=stderr",
    "logging_collector=off",
    "log_line_prefix=",
    "log_min_error_statement=panic",
    // Details would quote the rejected row.
    "log_error_verbosity=terse",
    // The level of a line is its first word, in English.
    "lc_messages=C",
];

/// The longest `cluster_name`, in bytes.
const MAX_CLUSTER_NAME: usize = 63;

/// The sizes of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Connections it accepts, including some for maintenance.
    pub(super) max_connections: usize,
    /// The size of its page cache in bytes.
    pub(super) shared_buffers: usize,
}

/// The server in the view of the supervision.
#[derive(Clone)]
pub(super) struct Server {
    program: PathBuf,
    cluster: PathBuf,
    /// The settings of the command line, as arguments.
    settings: Vec<OsString>,
    socket: PathBuf,
    database: Database,
}

impl Server {
    pub(super) fn new(
        sizes: Sizes,
        installation: &Installation,
        cluster: &Cluster,
        access: &AccessFiles,
        endpoint: &Endpoint,
        database: Database,
    ) -> Self {
        Self {
            program: installation.program("postgres"),
            cluster: cluster.path.clone(),
            settings: settings(sizes, installation.version.major, &cluster.path, access, &endpoint.socket_dir),
            socket: endpoint.socket(),
            database,
        }
    }

    /// Adds settings that take precedence over those before them.
    pub(super) fn with_settings(mut self, settings: &[&str]) -> Self {
        self.settings.extend(settings.iter().flat_map(|setting| [OsString::from("-c"), OsString::from(setting)]));
        self
    }

    /// The settings of its command line, as arguments.
    pub(super) fn settings(&self) -> &[OsString] {
        &self.settings
    }
}

impl Program for Server {
    fn command(&self) -> ChildCommand {
        ChildCommand::new(&self.program, Signal::SIGINT).arg("-D").arg(&self.cluster).args(&self.settings)
    }

    async fn prepare(&self) -> Result<(), BoxError> {
        let lock = self.socket.with_file_name(format!("{SOCKET_NAME}.lock"));
        DataDisk::new(&self.cluster).make_room();
        Ok(stale_processes::clear(&self.cluster, [self.socket.clone(), lock]).await?)
    }

    async fn ready(&self, pid: u32) {
        // The server writes into its pid file when it accepts connections; earlier attempts would fill its log with errors.
        while !accepts_connections(&self.cluster, pid) {
            sleep(READY_POLL_INTERVAL).await;
        }
        while let Err(error) = select_one(&self.database).await {
            if is_answer(&error) {
                return;
            }
            debug!("PostgreSQL does not answer yet: {error}");
            sleep(READY_POLL_INTERVAL).await;
        }
    }

    fn is_transient(&self, last_lines: &str) -> bool {
        // The backends of a killed server release these soon.
        last_lines.contains("pre-existing shared memory block") || last_lines.contains("could not lock file")
    }
}

/// The settings of the command line, as arguments.
fn settings(sizes: Sizes, major: u32, cluster: &Path, access: &AccessFiles, socket_dir: &Path) -> Vec<OsString> {
    let fixed = SETTINGS.iter().map(OsString::from);
    let numbers = [
        format!("cluster_name={}", cluster_name(cluster)),
        format!("port={PORT}"),
        format!("max_connections={}", sizes.max_connections),
        format!("shared_buffers={}kB", sizes.shared_buffers / 1024),
    ];
    let paths =
        [("data_directory=", cluster), ("hba_file=", access.hba.as_path()), ("ident_file=", access.ident.as_path())];
    let paths = paths.map(|(name, path)| {
        let mut setting = OsString::from(name);
        setting.push(path);
        setting
    });
    // The value is a list, in which quotes protect a comma or a blank of the path, and a quote is doubled.
    let quoted = socket_dir.as_os_str().as_bytes().split(|byte| *byte == b'"').collect::<Vec<_>>().join(&b"\"\""[..]);
    let mut sockets = OsString::from("unix_socket_directories=\"");
    sockets.push(OsStr::from_bytes(&quoted));
    sockets.push("\"");
    let newer = [(16, "reserved_connections=0"), (16, "scram_iterations=4096"), (17, "transaction_timeout=0")];
    let newer = newer.into_iter().filter(|(since, _)| major >= *since).map(|(_, setting)| OsString::from(setting));
    let all = fixed.chain(newer).chain(numbers.map(OsString::from)).chain(paths).chain([sockets]);
    all.flat_map(|setting| [OsString::from("-c"), setting]).collect()
}

/// The part of the titles of PostgreSQL's processes that distinguishes appliances: the cluster's directory, or its end. PostgreSQL allows printable ASCII.
fn cluster_name(cluster: &Path) -> String {
    let name = cluster.to_string_lossy();
    let printable: String = name.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect();
    match printable.len().checked_sub(MAX_CLUSTER_NAME) {
        None | Some(0) => printable,
        Some(excess) => format!("...{}", &printable[excess + 3..]),
    }
}

/// Whether the server `pid` has written into its pid file (line 8) that it accepts connections.
fn accepts_connections(cluster: &Path, pid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(cluster.join("postmaster.pid")) else { return false };
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(pid.to_string().as_str()) && lines.nth(6) == Some("ready")
}

async fn select_one(database: &Database) -> Result<(), tokio_postgres::Error> {
    database.open().await?.simple_query("SELECT 1").await.map(|_| ())
}

/// Whether the server has answered, if with an error: it refuses the login, or has not got the database. To ask again would not change it.
fn is_answer(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|state| *state != SqlState::CANNOT_CONNECT_NOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_cluster_is_its_directory_as_far_as_postgresql_allows() {
        assert_eq!(cluster_name(Path::new("/var/lib/ä b\n/postgres/16")), "/var/lib/? b?/postgres/16");
        let exact = format!("/{}", "x".repeat(62));
        assert_eq!(cluster_name(Path::new(&exact)), exact);
        let cut = cluster_name(Path::new(&format!("/a{exact}/end")));
        assert_eq!((cut.len(), &cut[..4]), (MAX_CLUSTER_NAME, "...x"));
        assert!(cut.ends_with("x/end"));
    }

    #[test]
    fn every_setting_is_an_argument_and_newer_ones_are_for_newer_servers_only() {
        let access = AccessFiles { hba: "/d/pg_hba.conf".into(), ident: "/d/pg_ident.conf".into() };
        let sizes = Sizes { max_connections: 20, shared_buffers: 1 << 27 };
        let of = |major| {
            let arguments = settings(sizes, major, Path::new("/d/16"), &access, Path::new("/d/\"run"));
            arguments.iter().map(|argument| argument.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let oldest = of(14);
        assert!(oldest.chunks(2).all(|pair| pair[0] == "-c" && pair[1].contains('=')), "{oldest:?}");
        assert!(oldest.contains(&"unix_socket_directories=\"/d/\"\"run\"".to_owned()));
        assert!(oldest.contains(&"shared_buffers=131072kB".to_owned()));
        assert!(!oldest.iter().any(|argument| argument.starts_with("reserved_connections")));
        assert!(oldest.contains(&"cluster_name=/d/16".to_owned()));
        assert!(of(17).iter().any(|argument| argument.starts_with("transaction_timeout")));
    }
}
