//! pg-embed's part: it acquires PostgreSQL and makes the cluster.
//!
//! Policy: pg-embed runs in a child of its own, the hidden subcommand `pg-embed-child`. So it can be given the
//! environment that is its only way to be told where its cache is (`XDG_CACHE_HOME`) and which locale a cluster gets
//! (`LC_ALL`), can be killed with all it started, and dies with the appliance. Its cache is filled with a link to the
//! distribution chosen, so that nothing is downloaded unless nothing else was found. It never starts a server: it would
//! do so without fsync. The password comes through standard input; the copy it leaves in a file is removed.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use pg_embed::pg_enums::PgAuthMethod;
use pg_embed::pg_errors::Error as PgEmbedError;
use pg_embed::pg_fetch::{PG_V16, PgFetchSettings, PostgresVersion};
use pg_embed::postgres::{PgEmbed, PgSettings};

use super::cluster::SUPERUSER;
use super::command::{ChildCommand, Input, OWN_PROGRAM};
use super::distribution::{self, Installation};
use super::helper;
use crate::config::Secret;

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "pg-embed-child";
/// What is downloaded when there is nothing else: the major version that is embedded elsewhere.
pub(super) const DOWNLOADED_VERSION: &str = PG_V16.0;
/// A download of 10 MB may take this long.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Why the child failed; printed by it, and read by a person as the last lines of its output.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Called by hand, or by another version.
    #[error("'{0}' is not something this subcommand does; it is only for the appliance itself")]
    Usage(String),
    /// The cache or the password could not be handled.
    #[error("cannot prepare pg-embed: {0}")]
    Prepare(#[from] io::Error),
    /// pg-embed failed.
    #[error("pg-embed: {0}")]
    PgEmbed(#[from] PgEmbedError),
}

/// Downloads a distribution into `dist`, unless that was done before, and returns the directory of its programs.
///
/// # Errors
/// When it cannot be fetched or stored.
pub(super) async fn download(dist: &Path) -> Result<PathBuf, distribution::Error> {
    let target = dist.join(format!("downloaded-{DOWNLOADED_VERSION}"));
    if !target.is_dir() {
        // Aside, then renamed: pg-embed itself takes a half-unpacked cache for a complete one.
        let aside = dist.join(format!("downloaded.partial-{}", std::process::id()));
        let fetched = fetch(&aside).await.and_then(|()| std::fs::rename(&aside, &target).map_err(|e| e.to_string()));
        if let Err(reason) = fetched {
            // Only clears the way; the error that matters is already on its way up.
            let _ = std::fs::remove_dir_all(&aside);
            return Err(distribution::Error::Download(reason));
        }
    }
    let settings = PgFetchSettings::default();
    let platform = format!("pg-embed/{}/{}", settings.operating_system, settings.architecture);
    Ok(target.join(platform).join(DOWNLOADED_VERSION).join("bin"))
}

async fn fetch(cache: &Path) -> Result<(), String> {
    std::fs::create_dir_all(cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    let command = child(cache).args(["acquire", DOWNLOADED_VERSION]);
    helper::run_helper(&command, DOWNLOAD_TIMEOUT).await.map(|_| ()).map_err(|e| e.to_string())
}

/// Makes a cluster in the empty directory `cluster`, with pg-embed's cache in `cache`.
///
/// # Errors
/// When the child fails or takes longer than `timeout`.
pub(super) async fn make_cluster(
    installation: &Installation,
    cache: &Path,
    cluster: &Path,
    password: &Secret,
    timeout: Duration,
) -> Result<(), helper::Error> {
    let command = child(cache)
        .args(["initdb", &installation.version.full])
        .arg(&installation.bin_dir)
        .arg(cluster)
        .input(Input::Bytes(Arc::from(password.expose().as_bytes())));
    helper::run_helper(&command, timeout).await.map(|_| ())
}

fn child(cache: &Path) -> ChildCommand {
    ChildCommand::new(OWN_PROGRAM, Signal::SIGKILL).arg(SUBCOMMAND).env("XDG_CACHE_HOME", cache).env("HOME", cache)
}

/// The hidden subcommand: `acquire VERSION`, or `initdb VERSION BIN_DIR CLUSTER` with the password on standard input.
///
/// # Errors
/// When pg-embed fails; the caller prints it and ends with a failure.
pub async fn run_pg_embed_child(args: &[OsString]) -> Result<(), Error> {
    // What pg-embed writes, the password above all, is nobody else's to read.
    umask(Mode::from_bits_truncate(0o077));
    match args {
        [verb, version] if verb == "acquire" => acquire(version).await,
        [verb, version, bin_dir, cluster] if verb == "initdb" => {
            initdb(version, Path::new(bin_dir), Path::new(cluster)).await
        }
        _ => Err(Error::Usage(args.join(" ".as_ref()).display().to_string())),
    }
}

async fn acquire(version: &OsString) -> Result<(), Error> {
    let scratch = std::env::temp_dir();
    let pg = PgEmbed::new(settings(&scratch, String::new()), fetch_settings(version)).await;
    let mut pg = pg?;
    pg.shutting_down = true;
    pg.pg_access.maybe_acquire_postgres().await?;
    Ok(())
}

async fn initdb(version: &OsString, bin_dir: &Path, cluster: &Path) -> Result<(), Error> {
    let mut password = String::new();
    io::stdin().read_to_string(&mut password)?;
    let mut pg = PgEmbed::new(settings(cluster, password), fetch_settings(version)).await?;
    // Else dropping it runs `pg_ctl stop`.
    pg.shutting_down = true;
    let in_cache = pg.pg_access.cache_dir.join("bin");
    if in_cache.symlink_metadata().is_ok() {
        std::fs::remove_file(&in_cache)?;
    }
    symlink(bin_dir, &in_cache)?;
    let made = pg.setup().await;
    // Removed whatever happened; the error about the cluster is the one that matters.
    let removed = std::fs::remove_file(&pg.pg_access.pw_file_path);
    made?;
    removed?;
    io::stdout().flush()?;
    Ok(())
}

fn settings(cluster: &Path, password: String) -> PgSettings {
    PgSettings {
        database_dir: cluster.to_owned(),
        port: 0,
        user: SUPERUSER.to_owned(),
        password,
        auth_method: PgAuthMethod::ScramSha256,
        persistent: true,
        // The appliance bounds this whole process.
        timeout: None,
        migration_dir: None,
    }
}

fn fetch_settings(version: &OsString) -> PgFetchSettings {
    // pg-embed wants the version for ever; this process does little else and ends.
    let version: &'static str = version.to_string_lossy().into_owned().leak();
    PgFetchSettings { version: PostgresVersion(version), ..PgFetchSettings::default() }
}
