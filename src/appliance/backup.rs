//! Backups, for commands and for the appliance that serves.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_postgres::Client;

use super::backends::{DATABASE, postgres_options};
use super::{Error, VERSION, lock_data_dir};
use crate::config::{Backup, Config, ManagedPostgresConfig, PostgresService, Verify};
use crate::database::Database;
use crate::database::migrations::{self, LoadedChangelog};
use crate::managed::client_programs::ClientPrograms;
use crate::managed::lock;
use crate::managed::postgres::{Endpoints, ManagedPostgres};
use crate::managed::privileges;
use crate::managed::scratch_cluster::ScratchTimeouts;
use crate::managed::wal_receiver::WalReceiverHandle;
use crate::operate::archiver::{self, Archiver, ArchiverOptions};
use crate::operate::backup_file::Target;
use crate::operate::control::ControlClient;
use crate::operate::decryption::DecryptionKey;
use crate::operate::encryption::Encryption;
use crate::operate::layout::Layout;
use crate::operate::lineage::{self, Contents};
use crate::operate::list::ListedBackup;
use crate::operate::loader::CheckedBackup;
use crate::operate::operator::{Created, Operator, Server};
use crate::operate::point_in_time::{self, Moment, Recovered};
use crate::operate::schedule::Plan;
use crate::operate::state::State;
use crate::operate::{self, BackupKeys, FileWorker, Owner, Trigger, clock, list, restore};

/// The label of a backup before an upgrade.
pub const UPGRADE_LABEL: &str = "before-upgrade";
/// How old a backup with that label may be to serve for this upgrade, in seconds. The package makes one before it replaces the program.
const UPGRADE_BACKUP_SECONDS: i64 = 3600;

/// The time-outs of scratch clusters if PostgreSQL is external: the defaults of `postgres.init_timeout` and `postgres.start_timeout`.
const DEFAULT_INIT_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(600);

/// The operator of this configuration. `configuration` is its text without secrets.
fn operator(config: &Config, server: Server, configuration: String) -> Operator {
    let managed = managed_config(config);
    Operator {
        layout: Layout::new(&config.data_dir),
        server,
        bin_dir: managed.and_then(|managed| managed.bin_dir.clone()),
        timeouts: timeouts(managed),
        configuration,
        status: watch::Sender::new(State::default()),
        files: FileWorker::default(),
    }
}

fn managed_config(config: &Config) -> Option<&ManagedPostgresConfig> {
    match &config.postgres.service {
        PostgresService::Managed(managed) => Some(managed),
        PostgresService::External(_) => None,
    }
}

/// A scratch cluster may take as long as the serving one, and longer to stop: it writes everything then.
fn timeouts(managed: Option<&ManagedPostgresConfig>) -> ScratchTimeouts {
    let (init, start) = managed
        .map_or((DEFAULT_INIT_TIMEOUT, DEFAULT_START_TIMEOUT), |managed| (managed.init_timeout, managed.start_timeout));
    ScratchTimeouts { init, start, stop: start }
}

/// The operator of an appliance that serves. Records the configured directory of backups in the data directory, for commands.
///
/// # Errors
/// When there is no PostgreSQL.
pub(super) fn of_appliance(
    config: &Config,
    managed: Option<&Endpoints>,
    configuration: String,
) -> Result<Arc<Operator>, Error> {
    let server = match (managed, config.postgres.direct_service()) {
        (Some(endpoints), _) => Server::Managed(endpoints.superuser.clone()),
        (None, Some(external)) => Server::External(external),
        (None, None) => return Err(Error::NoBackend("PostgreSQL")),
    };
    let operator = operator(config, server, configuration);
    let recorded = State::update(&operator.layout, |state| {
        state.directory.clone_from(&config.backup.directory);
        if config.backup.schedule.is_none() {
            state.scheduled_since = None;
        }
    });
    if let Err(error) = recorded {
        tracing::warn!(%error, "the directory of backups cannot be recorded");
    }
    operator.read_state();
    Ok(Arc::new(operator))
}

/// The schedule of this configuration.
pub(super) fn plan(config: &Config) -> Option<Plan> {
    let backup = &config.backup;
    let at = backup.schedule?;
    if backup.verify == Verify::Weekly && !keys(config).can_decrypt() {
        tracing::warn!(
            "backups are encrypted to keys, and backup.identity names no private key: none is restored for a test each week; \
             verify them where the key is (backup verify --identity), or set backup.verify: off"
        );
    }
    Some(Plan {
        at,
        directory: directory(config),
        keep: backup.keep.clone(),
        copy_command: backup.copy_command.clone(),
        is_verified: backup.verify == Verify::Weekly && keys(config).can_decrypt(),
        keys: keys(config),
    })
}

/// The files of keys that the configuration names.
pub fn keys(config: &Config) -> BackupKeys {
    let Backup { encrypt_to, passphrase_file, identity, .. } = &config.backup;
    BackupKeys { encrypt_to: encrypt_to.clone(), passphrase_file: passphrase_file.clone(), identity: identity.clone() }
}

/// Keeps the archive of point-in-time recovery, if it is configured; otherwise ends what an earlier configuration has begun.
pub(super) async fn archiver(
    config: &Config,
    operator: &Arc<Operator>,
    receiver: WalReceiverHandle,
) -> Option<Archiver> {
    let PostgresService::Managed(managed) = &config.postgres.service else { return None };
    let layout = &operator.layout;
    let had_slot = State::read(layout).has_slot;
    let outcome = match (config.backup.wal, had_slot) {
        (false, false) => return None,
        (false, true) => archiver::drop_slot(operator).await,
        (true, _) => Ok(()),
    };
    let recorded = outcome.and_then(|()| State::update(layout, |state| state.has_slot = config.backup.wal));
    if let Err(error) = recorded {
        tracing::warn!(%error, "the slot of the WAL cannot be recorded or removed");
    }
    config.backup.wal.then(|| {
        Archiver::start(ArchiverOptions {
            operator: Arc::clone(operator),
            directory: directory(config),
            days: config.backup.wal_days,
            max_bytes: config.backup.wal_max_size,
            receiver,
            server_stop_timeout: managed.stop_timeout,
        })
    })
}

/// The directory of backups: that of the configuration, else that of the last appliance on the data directory.
fn directory(config: &Config) -> PathBuf {
    let layout = Layout::new(&config.data_dir);
    config.backup.directory.clone().unwrap_or_else(|| State::read(&layout).directory(&layout))
}

/// Makes a backup before the migrations of a newer version change the database, unless the package has just made one.
pub(super) async fn before_upgrade(
    config: &Config,
    operator: &Operator,
    database: &Database,
    changelog: &LoadedChangelog,
) -> Result<(), Error> {
    // Saves the connection of a start that is no upgrade.
    if State::read(&operator.layout).version.as_deref() == Some(VERSION) {
        return Ok(());
    }
    let timeout = config.postgres.connect_timeout;
    let client = database.connect(timeout).await?;
    let Some(previous) = previous_version(&client).await? else { return Ok(()) };
    if !migrations::has_pending(database, changelog, timeout).await? || has_recent_upgrade_backup(config)? {
        return Ok(());
    }
    tracing::info!(previous, "a backup is made before the database is upgraded");
    let target = Target::Directory(directory(config));
    let created = operator
        .create(&target, Trigger::Upgrade, Some(UPGRADE_LABEL), keys(config).encryption()?.as_ref())
        .await
        .map_err(|source| Error::UpgradeBackup { previous, source: Box::new(source) })?;
    tracing::info!(file = %created.path.display(), bytes = created.bytes, "the backup before the upgrade is complete");
    Ok(())
}

/// Notes that this version has migrated the database.
pub(super) fn record_version(operator: &Operator) {
    let recorded = State::update(&operator.layout, |state| state.version = Some(VERSION.to_owned()));
    if let Err(error) = recorded {
        tracing::debug!(%error, "the version cannot be recorded");
    }
}

/// The version that ran last on this database, if it was another one.
async fn previous_version(client: &Client) -> Result<Option<String>, Error> {
    let failed = |source| crate::database::Error::Statement { what: "say which version ran last", source };
    let has_table = client.query_typed_one("SELECT to_regclass('attendance_api.versions') IS NOT NULL", &[]).await;
    if !has_table.map_err(failed)?.get::<_, bool>(0) {
        return Ok(None);
    }
    let last = "SELECT version FROM attendance_api.versions ORDER BY last_started DESC LIMIT 1";
    let row = client.query_typed_opt(last, &[]).await.map_err(failed)?;
    Ok(row.map(|row| row.get(0)).filter(|version: &String| version != VERSION))
}

fn has_recent_upgrade_backup(config: &Config) -> Result<bool, Error> {
    let directory = directory(config);
    let newest = list::newest_own(&directory, &Owner::read(&Layout::new(&config.data_dir), &directory))?;
    let created = newest.filter(|backup| backup.label.as_deref() == Some(UPGRADE_LABEL)).map(|backup| backup.created);
    Ok(created.is_some_and(|created| clock::now().as_second() - created.as_second() < UPGRADE_BACKUP_SECONDS))
}

/// Where a backup goes, and what it is called.
#[derive(Debug, Clone, Default)]
pub struct BackupOptions {
    /// The file; none for one in the directory of backups.
    pub output: Option<PathBuf>,
    /// Its label.
    pub label: Option<String>,
    /// How it is encrypted, if it is.
    pub encryption: Option<Encryption>,
}

/// Lets the appliance that runs on the data directory make a backup. `None` if none runs there. Blocks.
///
/// # Errors
/// When there is no backup.
pub fn create_by_running_appliance(config: &Config, options: &BackupOptions) -> Result<Option<Created>, Error> {
    let Some(client) = ControlClient::connect(&Layout::new(&config.data_dir)) else { return Ok(None) };
    let (label, encryption) = (options.label.as_deref(), options.encryption.as_ref());
    Ok(Some(client.backup(&target(config, options), Trigger::Command, label, encryption)?))
}

/// Makes a backup without an appliance that serves. A managed PostgreSQL is started for it and stopped afterwards.
///
/// # Errors
/// When there is no backup.
pub async fn create(config: &Config, configuration: String, options: &BackupOptions) -> Result<Created, Error> {
    let target = target(config, options);
    let make = async |server| {
        let operator = operator(config, server, configuration);
        let (label, encryption) = (options.label.as_deref(), options.encryption.as_ref());
        operator.create(&target, Trigger::Command, label, encryption).await.map_err(Error::from)
    };
    if let Some(external) = config.postgres.direct_service() {
        return make(Server::External(external)).await;
    }
    super::require_database(config)?;
    let _lock = match lock_data_dir(config).await {
        Ok(lock) => lock,
        Err(Error::Lock(held @ lock::Error::Held { .. })) => {
            // An appliance without a control socket: one of version 0.1.0, or one that is starting.
            let endpoints = Endpoints::of_running(&config.data_dir, DATABASE).ok_or(held)?;
            return make(Server::Managed(endpoints.superuser)).await;
        }
        Err(error) => return Err(error),
    };
    let options = postgres_options(config).ok_or(Error::NoBackend("PostgreSQL"))?;
    let postgres = ManagedPostgres::start(options).await?;
    let outcome = make(Server::Managed(postgres.endpoints().superuser.clone())).await;
    postgres.stop().await;
    outcome
}

fn target(config: &Config, options: &BackupOptions) -> Target {
    match &options.output {
        Some(path) => Target::File(path.clone()),
        None => Target::Directory(directory(config)),
    }
}

/// What can be restored.
#[derive(Debug)]
pub struct Restorable {
    /// The directory of backups.
    pub directory: PathBuf,
    /// The backups in it.
    pub backups: Vec<ListedBackup>,
    /// What can be restored with `--to`.
    pub archive: Contents,
}

/// The backups of the data directory. Of encrypted ones, the key opens the description.
///
/// # Errors
/// When their directory cannot be read.
pub fn list_backups(config: &Config, key: &DecryptionKey) -> Result<Restorable, Error> {
    let directory = directory(config);
    let owner = Owner::read(&Layout::new(&config.data_dir), &directory);
    let (backups, archive) = (list::list(&directory, key)?, lineage::contents(&directory, &owner)?);
    Ok(Restorable { directory, backups, archive })
}

/// Checks a backup and restores it into a temporary cluster. The file was opened by [`open_backup`].
///
/// # Errors
/// When it cannot be restored.
pub async fn verify_backup(
    config: &Config,
    path: &Path,
    file: File,
    key: DecryptionKey,
) -> Result<CheckedBackup, Error> {
    let backup = CheckedBackup::check(path, file, key).await?;
    let layout = Layout::new(&config.data_dir);
    layout.prepare()?;
    let programs = programs(config, &layout).await?;
    operate::verify::verify(&backup, &layout, &programs, timeouts(managed_config(config))).await?;
    if path.parent().is_some_and(|parent| parent == directory(config)) {
        State::update(&layout, |state| {
            state.last_verified = Some(operate::state::text(clock::now()));
            state.verify_reason = None;
        })?;
    }
    Ok(backup)
}

/// Restores a backup into the managed cluster of the data directory, on which no appliance runs. Returns where the cluster before is kept.
///
/// # Errors
/// When it cannot be restored; then nothing has changed.
pub async fn restore_backup(
    config: &Config,
    path: &Path,
    file: File,
    key: DecryptionKey,
) -> Result<(CheckedBackup, Option<PathBuf>), Error> {
    let _lock = super::lock_data_dir_always(config).await?;
    let backup = CheckedBackup::check(path, file, key).await?;
    let layout = Layout::new(&config.data_dir);
    layout.prepare()?;
    let programs = programs(config, &layout).await?;
    let timeouts = timeouts(managed_config(config));
    let kept = restore::restore(&backup, &layout, &programs, timeouts, clock::now()).await?;
    Ok((backup, kept))
}

/// Restores the database of a moment into the managed cluster of the data directory, on which no appliance runs.
///
/// # Errors
/// When it cannot be restored; then nothing has changed.
pub async fn restore_moment(config: &Config, moment: Moment) -> Result<Recovered, Error> {
    let _lock = super::lock_data_dir_always(config).await?;
    let layout = Layout::new(&config.data_dir);
    layout.prepare()?;
    let (directory, programs) = (directory(config), programs(config, &layout).await?);
    let timeouts = timeouts(managed_config(config));
    Ok(point_in_time::restore(moment, &directory, &layout, &programs, timeouts, clock::now()).await?)
}

async fn programs(config: &Config, layout: &Layout) -> Result<ClientPrograms, Error> {
    let bin_dir = managed_config(config).and_then(|managed| managed.bin_dir.as_deref());
    Ok(ClientPrograms::find(bin_dir, &layout.dist()).await.map_err(operate::Error::from)?)
}

/// Opens a backup, before this process gives up rights.
///
/// # Errors
/// When it is no ordinary file, or cannot be read.
pub fn open_backup(path: &Path) -> Result<File, Error> {
    Ok(operate::loader::open(path)?)
}

/// Removes the clusters that restores have replaced, and copied WAL that is too old. Returns the paths.
///
/// # Errors
/// When one cannot be removed.
pub async fn forget(config: &Config) -> Result<Vec<PathBuf>, Error> {
    let layout = Layout::new(&config.data_dir);
    Ok(operate::forget::forget(&layout, &directory(config), config.backup.wal_days, clock::now())?)
}

/// If started as root, becomes an unprivileged user; see [`super::drop_privileges`]. The data directory is made in any case.
///
/// # Errors
/// When there is no such user, or it cannot use the data directory.
pub fn drop_privileges_for_data(config: &Config) -> Result<Option<String>, Error> {
    Ok(privileges::drop_to_unprivileged(Some(config.data_dir.as_path()))?)
}
