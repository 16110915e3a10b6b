//! Makes and verifies backups for a running appliance.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::archive_writer::Sink;
use super::backup_file::{BackupFile, Target};
use super::create::{self, Request};
use super::encryption::Encryption;
use super::layout::Layout;
use super::loader::CheckedBackup;
use super::manifest::{Manifest, Trigger};
use super::scratch::ScratchDir;
use super::state::{State, text, whole_seconds};
use super::{Error, FileLock, FileWorker, Source, clock, verify};
use crate::config::ExternalPostgres;
use crate::managed::Endpoint;
use crate::managed::client_programs::ClientPrograms;
use crate::managed::scratch_cluster::ScratchTimeouts;

/// How many backups are remembered as those of this data directory.
const MAX_FILES: usize = 10_000;

/// Which database is backed up.
#[derive(Debug, Clone)]
pub enum Server {
    /// The managed one, by its superuser.
    Managed(Endpoint),
    /// Another one.
    External(ExternalPostgres),
}

/// Makes and verifies backups of one database.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Where the files are.
    pub layout: Layout,
    /// The database.
    pub server: Server,
    /// The configured programs of PostgreSQL.
    pub bin_dir: Option<PathBuf>,
    /// The times that a scratch cluster may take.
    pub timeouts: ScratchTimeouts,
    /// The configuration without secrets, which is a part of a backup.
    pub configuration: String,
    /// What is known about backups, for reports.
    pub status: watch::Sender<State>,
    /// For the files of backups.
    pub files: FileWorker,
}

/// A backup that was made.
#[derive(Debug)]
pub struct Created {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How long it took.
    pub duration: Duration,
    /// What it says about itself.
    pub manifest: Manifest,
}

impl Operator {
    /// The programs of PostgreSQL.
    ///
    /// # Errors
    /// When there are none.
    pub async fn programs(&self) -> Result<ClientPrograms, Error> {
        Ok(ClientPrograms::find(self.bin_dir.as_deref(), &self.layout.dist()).await?)
    }

    /// Makes a backup in a file. Only one at a time.
    ///
    /// # Errors
    /// When there is none; then nothing is left of it.
    pub async fn create(
        &self,
        target: &Target,
        trigger: Trigger,
        label: Option<&str>,
        encryption: Option<&Encryption>,
    ) -> Result<Created, Error> {
        let started = Instant::now();
        let time = whole_seconds(clock::now());
        let (wanted, word, key) = (target.clone(), label.map(str::to_owned), encryption.cloned());
        let begin = move || {
            let file = BackupFile::create(&wanted, time, word.as_deref(), key.as_ref())?;
            Ok((file.sink()?, file))
        };
        let (sink, file) = self.files.run(target.path(), begin).await?;
        let manifest = match self.write(sink, time, trigger, label).await {
            Ok(manifest) => manifest,
            Err(error) => {
                // Dropping the file removes it, which may block as well. An error of that is not reported, because the first error is the reason.
                let _ = self
                    .files
                    .run(target.path(), move || {
                        drop(file);
                        Ok(())
                    })
                    .await;
                return Err(error);
            }
        };
        let commit = move || {
            let path = file.commit()?;
            let bytes = path.metadata().map_err(Error::at(&path))?.len();
            Ok((path, bytes))
        };
        let (path, bytes) = self.files.run(target.path(), commit).await?;
        let duration = started.elapsed();
        self.record_success(target.recorded(&path), bytes, duration)?;
        Ok(Created { path, bytes, duration, manifest })
    }

    /// Writes a backup into a sink. Only one at a time.
    ///
    /// # Errors
    /// When it is not complete.
    pub async fn write(
        &self,
        sink: Box<dyn Sink>,
        time: Timestamp,
        trigger: Trigger,
        label: Option<&str>,
    ) -> Result<Manifest, Error> {
        let _lock = FileLock::of_backup(&self.layout).await?;
        let programs = self.programs().await?;
        let scratch = ScratchDir::create(&self.layout, "create")?;
        let source = match &self.server {
            Server::Managed(superuser) => Source::managed(superuser, scratch.path())?,
            Server::External(external) => Source::external(external, scratch.path())?,
        };
        let request =
            Request { time, trigger, label: label.map(str::to_owned), configuration: self.configuration.clone() };
        create::create(&source, &programs, sink, &request).await
    }

    /// Reads and publishes what is known.
    pub fn read_state(&self) {
        self.status.send_replace(State::read(&self.layout));
    }

    /// Checks a backup and restores it into a temporary cluster.
    ///
    /// # Errors
    /// When it cannot be restored.
    pub async fn verify(&self, backup: &CheckedBackup) -> Result<(), Error> {
        verify::verify(backup, &self.layout, &self.programs().await?, self.timeouts).await
    }

    /// Notes that a backup is complete. `path` is its file, if that is in a directory of backups.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn record_success(&self, path: Option<&Path>, bytes: u64, duration: Duration) -> Result<(), Error> {
        self.record(|state| {
            state.last_success = Some(text(clock::now()));
            state.reason = None;
            state.bytes = bytes;
            state.duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            state.files.extend(path.map(Path::to_owned));
            let excess = state.files.len().saturating_sub(MAX_FILES);
            state.files.drain(..excess);
        })
    }

    /// Changes what is known, and publishes it.
    ///
    /// # Errors
    /// When it cannot be written; it is published in any case.
    pub(super) fn record(&self, change: impl Fn(&mut State)) -> Result<(), Error> {
        self.status.send_modify(&change);
        State::update(&self.layout, change).map(drop)
    }
}
