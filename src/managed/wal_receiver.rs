//! The program that copies the WAL of the managed PostgreSQL as it is written, `pg_receivewal`, as a supervised child.
//!
//! Policy: each record is on disk in the copy before it is confirmed to the server (`--synchronous`), and the server keeps what is not copied yet for a replication
//! slot. A stop waits for the end of the server: it sends the receiver its last WAL, and ends it, before it has shut down. A receiver
//! that was ended first would delay that shutdown.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::client_programs::{ClientPrograms, Login};
use super::command::ChildCommand;
use super::output::LogSyntax;
use super::process::{BoxError, Policy, Program, Supervised};

const PROGRAM: &str = "pg_receivewal";
/// How often it reports how far it is.
const STATUS_INTERVAL: &str = "--status-interval=1";
/// The time for a look into its directory, which may be on a network file system.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(15);
/// After the name of a file that is not complete.
const PARTIAL_SUFFIX: &str = ".partial";
/// The size of every file of WAL, in bytes.
const SEGMENT_BYTES: u64 = 16 << 20;

/// A receiver that runs.
#[derive(Debug)]
struct WalReceiver {
    supervised: Supervised,
}

/// The one receiver of a server: none before its start and after its stop.
#[derive(Debug, Clone, Default)]
pub struct WalReceiverHandle(Arc<Mutex<Option<WalReceiver>>>);

impl WalReceiverHandle {
    /// Starts a receiver that writes into `directory`; one that runs is ended first. `server_stop_timeout` is how long the server may take to stop.
    ///
    /// # Errors
    /// When the operating system has no thread for it.
    pub async fn start(
        &self,
        programs: &ClientPrograms,
        login: &Login,
        directory: &Path,
        slot: &str,
        server_stop_timeout: Duration,
    ) -> io::Result<()> {
        let mut running = self.0.lock().await;
        if let Some(receiver) = running.take() {
            receiver.supervised.abandon().await;
        }
        let command =
            programs.command(PROGRAM, login).arg("-w").arg("--no-loop").arg("--synchronous").arg(STATUS_INTERVAL);
        let command = command.arg("--slot").arg(slot).arg("-D").arg(directory);
        let policy = Policy {
            // The first signal has no effect: within its time the server ends the receiver.
            stop_signals: vec![(Signal::SIGCONT, server_stop_timeout), (Signal::SIGINT, Duration::from_secs(2))],
            ..Policy::new(PROGRAM, LogSyntax::Silent)
        };
        let (supervised, _) = Supervised::start(Receiver { command, directory: directory.to_owned() }, policy)?;
        *running = Some(WalReceiver { supervised });
        Ok(())
    }

    /// Waits until the server that is stopping has ended the receiver, for a limited time, and ends it otherwise.
    pub async fn stop(&self) {
        if let Some(receiver) = self.0.lock().await.take() {
            receiver.supervised.stop().await;
        }
    }

    /// Ends the receiver while its server goes on.
    pub async fn end(&self) {
        if let Some(receiver) = self.0.lock().await.take() {
            receiver.supervised.abandon().await;
        }
    }
}

struct Receiver {
    command: ChildCommand,
    directory: PathBuf,
}

impl Program for Receiver {
    fn command(&self) -> ChildCommand {
        self.command.clone()
    }

    async fn prepare(&self) -> Result<(), BoxError> {
        let directory = self.directory.clone();
        let removing = spawn_blocking(move || remove_short_files(&directory));
        Ok(timeout(PREPARE_TIMEOUT, removing).await???)
    }

    async fn ready(&self, _pid: u32) {}
}

/// Removes files that were killed, or found the disk full, while they were filled with zeros: they have no WAL yet, and the receiver refuses to start with them.
fn remove_short_files(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_partial = entry.file_name().to_string_lossy().ends_with(PARTIAL_SUFFIX);
        if is_partial && !matches!(entry.metadata()?.len(), 0 | SEGMENT_BYTES) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn a_partial_file_of_another_size_is_removed() {
        let directory = scratch("short-files");
        for (name, bytes) in [("a.partial", 0), ("b.partial", SEGMENT_BYTES), ("c.partial", 8192), ("d", 8192)] {
            fs::File::create(directory.join(name)).unwrap().set_len(bytes).unwrap();
        }
        remove_short_files(&directory).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(directory.join(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.partial", "b.partial", "d"]);
    }
}
