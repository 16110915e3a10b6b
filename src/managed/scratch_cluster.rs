//! A cluster beside that of the appliance, into which a backup is loaded.
//!
//! Policy: it is made, filled and stopped in a directory of its own, and nothing but the loader connects to it. Until it is complete, a crash
//! means that it is removed, so it runs without fsync. One that is kept is brought to the disk: in the background while it is filled, so that the end does not wait for
//! all of it, and completely by [`ScratchCluster::stop`]. Its socket is in its own directory, also
//! under a service manager, so that it cannot be mistaken for that of the serving cluster.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::syncfs;

use super::cluster::Cluster;
use super::config_files::AccessFiles;
use super::endpoint::{Endpoint, SOCKET_NAME};
use super::initdb::Durability;
use super::installation::Installation;
use super::output::LogSyntax;
use super::postgres_error::{Error, with_timeout};
use super::postgres_server::{Server, Sizes};
use super::process::{self, Policy, Supervised};
use super::write_behind::WriteBehind;
use super::{run_dir, secret_file, stale_processes};
use crate::database::Database;
use nix::sys::signal::Signal;

/// Settings that suit one session that loads everything: no crash is survived, and no WAL is kept for others.
const LOAD_SETTINGS: [&str; 13] = [
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "archive_mode=off",
    "autovacuum=off",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "maintenance_work_mem=256MB",
    "max_parallel_maintenance_workers=2",
    "log_checkpoints=off",
    // A database is loaded in one transaction, which locks every table and index of it.
    "max_locks_per_transaction=2048",
];
/// Settings of a server that replays WAL and then ends. Sessions are accepted only after that.
const RECOVERY_SETTINGS: [&str; 10] = [
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "archive_mode=off",
    "autovacuum=off",
    "hot_standby=off",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "log_checkpoints=off",
    "max_slot_wal_keep_size=-1",
];
/// What PostgreSQL says when no transaction follows the time to which it shall recover.
const TARGET_NOT_REACHED: &str = "recovery ended before configured recovery target was reached";
/// The file with the state of a cluster, where the state is in it, and the state after a clean shutdown: the same in PostgreSQL 12 to 18.
const CONTROL_FILE: &str = "global/pg_control";
const STATE_OFFSET: u64 = 16;
const STATE_SHUT_DOWN: u32 = 1;
/// Connections that it accepts.
const MAX_CONNECTIONS: usize = 12;
/// The size of its page cache in bytes.
const SHARED_BUFFERS: usize = 128 << 20;

/// The times that its steps may take.
#[derive(Debug, Clone, Copy)]
pub struct ScratchTimeouts {
    /// initdb.
    pub init: Duration,
    /// Its start.
    pub start: Duration,
    /// Its stop, which writes everything.
    pub stop: Duration,
}

/// A running scratch cluster.
pub struct ScratchCluster {
    endpoint: Endpoint,
    path: PathBuf,
    /// The directory of its socket, if it is not below its own directory.
    foreign_socket_dir: Option<PathBuf>,
    supervised: Supervised,
    write_behind: Option<WriteBehind>,
}

impl ScratchCluster {
    /// Makes a cluster below the empty directory `directory` and starts it. `password` is that of its superuser; otherwise a new one is made.
    ///
    /// # Errors
    /// When the cluster cannot be made or started.
    pub async fn start(
        directory: &Path,
        installation: &Installation,
        database: &str,
        password: Option<&str>,
        timeouts: ScratchTimeouts,
    ) -> Result<Self, Error> {
        if let Some(password) = password {
            let path = directory.join("postgres");
            let file = path.join("password");
            fs::create_dir_all(&path)
                .and_then(|()| secret_file::write(&file, password))
                .map_err(|source| Error::Roles { path: file, source })?;
        }
        let cluster = Cluster::open(directory, installation, Durability::Deferred, timeouts.init).await?;
        let access = AccessFiles::write(&cluster.root)?;
        Self::run(directory, cluster, &access, installation, database, &LOAD_SETTINGS, timeouts).await
    }

    /// Starts the cluster in `directory` (below `postgres`, by its version), which is a base backup, and waits until it has recovered. `recovery` are the
    /// settings that say to what. `None` if the target was not reached because no transaction follows it.
    ///
    /// # Errors
    /// When it cannot be started, or the WAL cannot be replayed.
    pub async fn recover(
        directory: &Path,
        installation: &Installation,
        database: &str,
        recovery: &[String],
        timeouts: ScratchTimeouts,
    ) -> Result<Option<Self>, Error> {
        let cluster = Cluster::open(directory, installation, Durability::Immediate, timeouts.init).await?;
        let access = AccessFiles::write_trusting(&cluster.root)?;
        let settings: Vec<&str> = RECOVERY_SETTINGS.into_iter().chain(recovery.iter().map(String::as_str)).collect();
        match Self::run(directory, cluster, &access, installation, database, &settings, timeouts).await {
            Ok(recovered) => Ok(Some(recovered)),
            Err(Error::Start { source, .. }) if source.last_lines().contains(TARGET_NOT_REACHED) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn run(
        directory: &Path,
        cluster: Cluster,
        access: &AccessFiles,
        installation: &Installation,
        database: &str,
        settings: &[&str],
        timeouts: ScratchTimeouts,
    ) -> Result<Self, Error> {
        let socket_dir = run_dir::find_below(directory, SOCKET_NAME)?;
        let foreign_socket_dir = (!socket_dir.starts_with(directory)).then(|| socket_dir.clone());
        let endpoint = Endpoint::superuser(socket_dir, cluster.password.clone(), database);
        let [maintenance, _] = endpoint.maintenance_databases()?;
        let sizes = Sizes { max_connections: MAX_CONNECTIONS, shared_buffers: SHARED_BUFFERS };
        let server = Server::new(sizes, installation, &cluster, access, &endpoint, maintenance).with_settings(settings);
        let policy = Policy {
            start_timeout: timeouts.start,
            first_start_must_succeed: true,
            stop_signals: vec![(Signal::SIGINT, timeouts.stop)],
            ..Policy::new("scratch", LogSyntax::Silent)
        };
        let (supervised, first_start) = Supervised::start(server, policy).map_err(Error::Supervise)?;
        let started = first_start.await.unwrap_or(Err(process::Error::Stopped));
        started.map_err(|source| Error::Start {
            installation: Box::new(installation.clone()),
            path: cluster.path.clone(),
            source,
        })?;
        Ok(Self { endpoint, path: cluster.path, foreign_socket_dir, supervised, write_behind: None })
    }

    /// Brings its files to the disk while it is filled.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn write_behind(&mut self) -> io::Result<()> {
        self.write_behind = Some(WriteBehind::start(self.path.join("base"))?);
        Ok(())
    }

    /// How to connect as its superuser, to the database that it was made for.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The directory of the cluster.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the empty database.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_database(&self) -> Result<(), Error> {
        let [maintenance, _] = self.endpoint.maintenance_databases()?;
        let client = with_timeout("connecting", maintenance.open()).await?;
        let name = self.endpoint.database.replace('"', "\"\"");
        let statement = format!("CREATE DATABASE \"{name}\" ENCODING 'UTF8' TEMPLATE template0");
        with_timeout("creating the database", client.batch_execute(&statement)).await
    }

    /// The database that every cluster has.
    ///
    /// # Errors
    /// When the TLS library fails to start.
    pub fn maintenance(&self) -> Result<Database, Error> {
        let [maintenance, _] = self.endpoint.maintenance_databases()?;
        Ok(maintenance)
    }

    /// Stops it; afterwards its files are complete and on disk.
    ///
    /// # Errors
    /// When it did not stop cleanly, or its files cannot be brought to the disk.
    pub async fn stop(self) -> io::Result<()> {
        let path = self.path.clone();
        let write_behind = self.end().await?;
        // A shutdown removes the file as its last step, also one whose checkpoint has failed, such as on a full disk.
        if path.join("postmaster.pid").exists() || !was_shut_down(&path)? {
            return Err(io::Error::other("its server did not shut down cleanly"));
        }
        let synced = tokio::task::spawn_blocking(move || -> io::Result<()> {
            write_behind.map_or(Ok(()), WriteBehind::stop)?;
            Ok(syncfs(File::open(path)?)?)
        })
        .await;
        synced.map_err(io::Error::other)?
    }

    /// Stops it; its files are then of no use, because they may not be on disk.
    ///
    /// # Errors
    /// When the directory of its socket cannot be removed.
    pub async fn discard(self) -> io::Result<()> {
        self.end().await.map(drop)
    }

    async fn end(self) -> io::Result<Option<WriteBehind>> {
        let Self { foreign_socket_dir, supervised, write_behind, .. } = self;
        supervised.stop().await;
        if let Some(directory) = foreign_socket_dir {
            fs::remove_dir_all(directory)?;
        }
        Ok(write_behind)
    }
}

/// Whether the last shutdown of a cluster has written everything.
fn was_shut_down(cluster: &Path) -> io::Result<bool> {
    let mut state = [0; 4];
    File::open(cluster.join(CONTROL_FILE))?.read_exact_at(&mut state, STATE_OFFSET)?;
    Ok(u32::from_ne_bytes(state) == STATE_SHUT_DOWN)
}

/// Ends what still runs in the cluster below `directory`, whose owner has ended, and waits for it.
///
/// # Errors
/// When a process does not end.
pub async fn end_stale(directory: &Path) -> io::Result<()> {
    let Ok(clusters) = fs::read_dir(directory.join("postgres")) else { return Ok(()) };
    for cluster in clusters.flatten().filter(|entry| entry.path().is_dir()) {
        let path = cluster.path().canonicalize()?;
        let socket = directory.join("run").join(SOCKET_NAME);
        let lock = socket.with_extension("5432.lock");
        stale_processes::clear(&path, [socket, lock]).await.map_err(io::Error::other)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn the_control_file_says_whether_a_shutdown_was_clean() {
        let cluster = scratch("control-file");
        fs::create_dir(cluster.join("global")).unwrap();
        was_shut_down(&cluster).unwrap_err();
        // After a clean shutdown, during one, and in production.
        for (state, expected) in [(1_u32, true), (3, false), (6, false)] {
            let mut content = vec![9_u8; 64];
            content[16..20].copy_from_slice(&state.to_ne_bytes());
            fs::write(cluster.join(CONTROL_FILE), content).unwrap();
            assert_eq!(was_shut_down(&cluster).unwrap(), expected, "{state}");
        }
    }
}
