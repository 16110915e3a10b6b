//! Opens a backup, and loads it into a scratch cluster.
//!
//! Policy: a backup is checked as a whole before anything is made of it. What was loaded is compared with the manifest.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::archive::{DATABASE, GLOBALS};
use super::decryption::{Content, DecryptionKey};
use super::inventory::Inventory;
use super::layout::Layout;
use super::manifest::Manifest;
use super::scratch::ScratchDir;
use super::space::{self, Beside};
use super::stream::{PROGRAM_TIMEOUT, feed_part, read_part};
use super::{Error, archive_reader, globals};
use crate::database::migrations;
use crate::managed::client_programs::{ClientPrograms, Login};
use crate::managed::scratch_cluster::{ScratchCluster, ScratchTimeouts};

/// The database of every managed cluster.
pub(super) const DATABASE_NAME: &str = "attendance_db";
/// The largest script of global objects, in bytes.
const MAX_GLOBALS_BYTES: u64 = 64 << 20;
/// What an empty cluster and its WAL need, in bytes.
const CLUSTER_BYTES: u64 = 200 << 20;
/// The limit for the connection to the scratch cluster.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// A backup whose every byte was checked.
#[derive(Debug)]
pub struct CheckedBackup {
    path: PathBuf,
    file: File,
    key: DecryptionKey,
    manifest: Manifest,
}

impl CheckedBackup {
    /// Opens a backup and checks every byte of it, and that this version can restore it.
    ///
    /// # Errors
    /// When it is not a complete and unchanged backup, or is of a newer version.
    pub async fn open(path: &Path, key: DecryptionKey) -> Result<Self, Error> {
        Self::check(path, open(path)?, key).await
    }

    /// Like [`CheckedBackup::open`], for a file that was opened before this process gave up rights.
    ///
    /// # Errors
    /// As there.
    pub async fn check(path: &Path, file: File, key: DecryptionKey) -> Result<Self, Error> {
        let input = file.try_clone().map_err(Error::at(path))?;
        let opened_with = key.clone();
        let checked = tokio::task::spawn_blocking(move || {
            archive_reader::check(BufReader::with_capacity(1 << 20, Content::open(input, &opened_with)?))
        });
        let manifest = checked.await?.and_then(refuse_newer).map_err(|error| error.of(path))?;
        Ok(Self { path: path.to_owned(), file, key, manifest })
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its content from the beginning. All readers share one position, so they are used one after the other.
    async fn content(&self) -> Result<Content, Error> {
        let file = self.file.try_clone().map_err(Error::at(&self.path))?;
        let key = self.key.clone();
        // A passphrase takes a second of computation.
        tokio::task::spawn_blocking(move || Content::open(file, &key)).await?
    }
}

/// Opens a backup, which must be an ordinary file.
///
/// # Errors
/// When it is something else, or cannot be read.
pub fn open(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::Read { source }.of(path);
    // Looked at before it is opened, because opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::NotAFile.of(path));
    }
    File::open(path).map_err(failed)
}

fn refuse_newer(manifest: Manifest) -> Result<Manifest, Error> {
    let known = migrations::newest_known();
    if manifest.schema.migration > known {
        return Err(Error::NewerSchema { appliance: manifest.appliance, found: manifest.schema.migration, known });
    }
    Ok(manifest)
}

/// Refuses to begin where the cluster would not have room.
pub(super) fn check_space(layout: &Layout, manifest: &Manifest, beside: Beside) -> Result<(), Error> {
    // The new tables, and some of the WAL.
    let needed = manifest.database_bytes + manifest.database_bytes / 4 + CLUSTER_BYTES;
    space::require_for_cluster(layout.data_dir(), &layout.root(), needed, beside)
}

/// What a cluster is loaded for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use<'a> {
    /// To be compared, and removed.
    Verification,
    /// To take the place of the current one, whose superuser has this password.
    Restore {
        /// None if there is no current one.
        password: Option<&'a str>,
    },
}

/// Makes a cluster in `scratch` with the content of the backup, and compares it with the manifest. The cluster runs. The large futures are in boxes.
pub(super) async fn load(
    backup: &CheckedBackup,
    programs: &ClientPrograms,
    scratch: &ScratchDir,
    purpose: Use<'_>,
    timeouts: ScratchTimeouts,
) -> Result<ScratchCluster, Error> {
    if backup.manifest.postgres.programs_major > programs.version().major {
        let found = backup.manifest.postgres.programs.clone();
        return Err(Error::NewerPrograms { found, ours: programs.version().full.clone() }.of(&backup.path));
    }
    let password = if let Use::Restore { password } = purpose { password } else { None };
    let mut cluster =
        Box::pin(ScratchCluster::start(scratch.path(), programs.installation(), DATABASE_NAME, password, timeouts))
            .await?;
    if matches!(purpose, Use::Restore { .. }) {
        cluster.write_behind().map_err(Error::at(scratch.path()))?;
    }
    let filled = Box::pin(fill(backup, programs, scratch, &cluster)).await;
    match filled {
        Ok(()) => Ok(cluster),
        Err(error) => {
            // Its directory is removed, so how it stops does not matter.
            if let Err(error) = cluster.discard().await {
                tracing::debug!(%error, "the scratch cluster");
            }
            Err(error.of(&backup.path))
        }
    }
}

async fn fill(
    backup: &CheckedBackup,
    programs: &ClientPrograms,
    scratch: &ScratchDir,
    cluster: &ScratchCluster,
) -> Result<(), Error> {
    let maintenance = cluster.maintenance()?.connect(CONNECT_TIMEOUT).await?;
    let script = read_part(backup.content().await?, GLOBALS, MAX_GLOBALS_BYTES).await?;
    globals::apply(&maintenance, &String::from_utf8_lossy(&script)).await?;
    cluster.create_database().await?;

    let password_file = scratch.path().join("pgpass");
    let login = Login::of(cluster.endpoint(), &password_file).map_err(Error::at(&password_file))?;
    // In one transaction, a table that was made in it is filled without WAL.
    let arguments = ["--exit-on-error", "--single-transaction", "-w", "-d", DATABASE_NAME];
    let mut program = programs.start("pg_restore", &login, arguments, true).await?;
    let input = program.take_input().map_err(|source| Error::Stream { program: "pg_restore", source })?;
    program.follow();
    let fed = feed_part(backup.content().await?, DATABASE, input).await;
    program.finish(PROGRAM_TIMEOUT).await?;
    fed?;

    let client = cluster.endpoint().database()?.connect(CONNECT_TIMEOUT).await?;
    backup
        .manifest
        .settings
        .apply(&client)
        .await
        .map_err(Error::statement("take over the settings of the database"))?;
    let session = "SET statement_timeout = 0; SET TIME ZONE 'UTC'; SET DateStyle = 'ISO, YMD'";
    client.batch_execute(session).await.map_err(Error::statement("prepare the session"))?;
    // Both at once: each reads every table.
    let (found, ()) = tokio::try_join!(
        async { Inventory::read(&client).await.map_err(Error::statement("count its rows")) },
        analyze(cluster)
    )?;
    match found.difference(&backup.manifest.content) {
        None => Ok(()),
        Some(difference) => Err(Error::Differs { difference }),
    }
}

/// Collects the statistics of the tables.
async fn analyze(cluster: &ScratchCluster) -> Result<(), Error> {
    let client = cluster.endpoint().database()?.connect(CONNECT_TIMEOUT).await?;
    let statement = "SET statement_timeout = 0; ANALYZE";
    client.batch_execute(statement).await.map_err(Error::statement("analyze the tables"))
}
