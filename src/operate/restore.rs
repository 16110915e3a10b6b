//! Puts a backup in the place of the cluster.
//!
//! Policy: the new cluster is complete, compared with its manifest and on disk before anything is renamed. The old one stays beside it until `backup
//! forget`. The database gets a new identity: with the old one, a shared Redis would answer with what was cached before.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio_postgres::Client;

use super::Error;
use super::journal::{self, Exchange};
use super::layout::{Layout, TIME_FORMAT};
use super::loader::{self, CheckedBackup, Use};
use super::scratch::ScratchDir;
use super::space::Beside;
use super::stream::limited;
use crate::managed::client_programs::ClientPrograms;
use crate::managed::scratch_cluster::{self, ScratchCluster, ScratchTimeouts};
use crate::managed::secret_file;

/// In the name of a cluster that a restore has replaced.
pub(super) const KEPT_MARK: &str = ".before-restore-";

const NEW_IDENTITY: &str = "DO $$ BEGIN IF to_regclass('attendance_api.identity') IS NOT NULL THEN \
    UPDATE attendance_api.identity SET id = md5(random()::text || clock_timestamp()::text || pg_backend_pid()::text || id); \
    END IF; END $$";

/// Restores a checked backup. Only for the holder of the lock of the data directory. Returns where the cluster before is kept, if there was one.
///
/// # Errors
/// When it cannot be restored; then nothing has changed.
pub async fn restore(
    backup: &CheckedBackup,
    layout: &Layout,
    programs: &ClientPrograms,
    timeouts: ScratchTimeouts,
    now: Timestamp,
) -> Result<Option<PathBuf>, Error> {
    let scratch = ScratchDir::create(layout, "restore")?;
    loader::check_space(layout, backup.manifest(), Beside::Alone)?;
    limited("the restore", async {
        let password = fs::read_to_string(layout.clusters().join("password")).ok();
        let password = password.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let cluster = loader::load(backup, programs, &scratch, Use::Restore { password }, timeouts).await?;
        let renewed = make_own(&cluster).await;
        let path = cluster.path().to_owned();
        cluster.stop().await.map_err(Error::at(&path))?;
        renewed?;
        // A server of an appliance that was killed may still be stopping.
        scratch_cluster::end_stale(layout.data_dir()).await.map_err(Error::at(layout.data_dir()))?;
        replace(layout, &path, scratch.path(), now)
    })
    .await
}

async fn make_own(cluster: &ScratchCluster) -> Result<(), Error> {
    let failed = Error::statement("give the database a new identity");
    renew_identity(&cluster.endpoint().database()?.open().await.map_err(failed)?).await
}

/// Gives the database a new identity.
pub(super) async fn renew_identity(client: &Client) -> Result<(), Error> {
    client.batch_execute(NEW_IDENTITY).await.map_err(Error::statement("give the database a new identity"))
}

/// The password of the superuser of this data directory, or a new one; also in the scratch directory, from where [`replace`] takes a new one.
pub(super) fn password(layout: &Layout, scratch: &Path) -> Result<String, Error> {
    let found = fs::read_to_string(layout.clusters().join("password")).unwrap_or_default();
    let path = scratch.join("postgres/password");
    let password = match found.trim() {
        "" => secret_file::random().map_err(Error::at(&path))?,
        found => found.to_owned(),
    };
    secret_file::write(&path, &password).map_err(Error::at(&path))?;
    Ok(password)
}

/// Exchanges the clusters through the journal.
pub(super) fn replace(layout: &Layout, new: &Path, scratch: &Path, now: Timestamp) -> Result<Option<PathBuf>, Error> {
    let clusters = layout.clusters();
    fs::create_dir_all(&clusters).map_err(Error::at(&clusters))?;
    let password = clusters.join("password");
    if !password.exists() {
        let made = scratch.join("postgres/password");
        let text = fs::read_to_string(&made).map_err(Error::at(&made))?;
        secret_file::write(&password, text.trim()).map_err(Error::at(&password))?;
    }
    let name = new.file_name().unwrap_or_default();
    let current = clusters.join(name);
    let kept = current.symlink_metadata().is_ok().then(|| free_name(&clusters, &name.to_string_lossy(), now));
    let data_dir = layout.data_dir().canonicalize().map_err(Error::at(layout.data_dir()))?;
    let below =
        |path: &Path| path.strip_prefix(&data_dir).or(path.strip_prefix(layout.data_dir())).unwrap_or(path).to_owned();
    let exchange = Exchange { new: below(new), current: below(&current), kept: kept.as_deref().map(below) };
    journal::exchange(layout, &exchange)?;
    Ok(kept)
}

/// A name for the old cluster that is not taken.
fn free_name(clusters: &Path, name: &str, now: Timestamp) -> PathBuf {
    let first = clusters.join(format!("{name}{KEPT_MARK}{}", now.strftime(TIME_FORMAT)));
    let further = (2_u32..).map(|number| PathBuf::from(format!("{}-{number}", first.display())));
    std::iter::once(first.clone()).chain(further).find(|path| path.symlink_metadata().is_err()).unwrap_or(first)
}
