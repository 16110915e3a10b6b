//! pg-embed: downloads PostgreSQL and makes clusters.
//!
//! Policy: pg-embed runs in a child process, the hidden subcommand `pg-embed-child`. There it gets the environment variables that
//! select its cache (`XDG_CACHE_HOME`) and the locale of a cluster (`LC_ALL`), for which it has no options; it can be killed together
//! with the programs that it starts; and it ends with the appliance. Its cache contains a link to the selected installation, so that it
//! downloads only if there is none. It never starts a server, because it would do so without fsync. The password comes
//! through standard input; the file in which pg-embed leaves a copy is removed.

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

use super::command::{ChildCommand, Input, OWN_PROGRAM};
use super::helper;
use super::installation::{Installation, SUPERUSER};
use crate::config::Secret;

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "pg-embed-child";
/// The version to download: of the major version that other builds embed.
pub(super) const DOWNLOADED_VERSION: &str = PG_V16.0;
/// The time-out of a download of 10 MB.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Why the child process failed. It prints the error, which the appliance reports as the last lines of its output.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The arguments are not those of the appliance.
    #[error("'{0}' is not something this subcommand does; it is only for the appliance itself")]
    Usage(String),
    /// The cache or the password could not be read or written.
    #[error("cannot prepare pg-embed: {0}")]
    Prepare(#[from] io::Error),
    /// The error of pg-embed.
    #[error("pg-embed: {0}")]
    PgEmbed(#[from] PgEmbedError),
}

/// Why a distribution was not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The directory of the download cannot be made.
    #[error("{path}: {source}", path = .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// The child process failed.
    #[error(transparent)]
    Fetch(#[from] helper::Error),
    /// The complete download cannot be renamed.
    #[error(transparent)]
    Rename(io::Error),
}

/// Downloads a distribution into `dist` if it is not there yet, and returns the directory of its programs.
///
/// # Errors
/// When it cannot be fetched or stored.
pub(super) async fn download(dist: &Path) -> Result<PathBuf, DownloadError> {
    let target = dist.join(format!("downloaded-{DOWNLOADED_VERSION}"));
    if !target.is_dir() {
        // Renamed when it is complete, because pg-embed accepts an incomplete cache.
        let partial = dist.join(format!("downloaded.partial-{}", std::process::id()));
        let fetched =
            fetch(&partial).await.and_then(|()| std::fs::rename(&partial, &target).map_err(DownloadError::Rename));
        if fetched.is_err() {
            // A failed removal is not reported: the first error matters, and the next start tries again.
            let _ = std::fs::remove_dir_all(&partial);
            fetched?;
        }
    }
    let settings = PgFetchSettings::default();
    let platform = format!("pg-embed/{}/{}", settings.operating_system, settings.architecture);
    Ok(target.join(platform).join(DOWNLOADED_VERSION).join("bin"))
}

async fn fetch(cache: &Path) -> Result<(), DownloadError> {
    std::fs::create_dir_all(cache).map_err(|source| DownloadError::Directory { path: cache.to_owned(), source })?;
    let command = child_command(cache).args(["acquire", DOWNLOADED_VERSION]);
    helper::run_helper(&command, DOWNLOAD_TIMEOUT).await?;
    Ok(())
}

/// Makes a cluster in the empty directory `cluster`, with pg-embed's cache in `cache`.
///
/// # Errors
/// When the child process fails or takes longer than `timeout`.
pub(super) async fn make_cluster(
    installation: &Installation,
    cache: &Path,
    cluster: &Path,
    password: &Secret,
    timeout: Duration,
) -> Result<(), helper::Error> {
    let command = child_command(cache)
        .args(["initdb", &installation.version.full])
        .arg(&installation.bin_dir)
        .arg(cluster)
        .input(Input::Bytes(Arc::from(password.expose().as_bytes())));
    helper::run_helper(&command, timeout).await.map(|_| ())
}

fn child_command(cache: &Path) -> ChildCommand {
    ChildCommand::new(OWN_PROGRAM, Signal::SIGKILL).arg(SUBCOMMAND).env("XDG_CACHE_HOME", cache).env("HOME", cache)
}

/// The hidden subcommand: `acquire VERSION`, or `initdb VERSION BIN_DIR CLUSTER` with the password on standard input.
///
/// # Errors
/// When pg-embed fails; the caller prints the error and ends with a failure status.
pub async fn run_pg_embed_child(args: &[OsString]) -> Result<(), Error> {
    // Files that pg-embed writes, above all the password, must not be readable by other users.
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
    // Otherwise its drop would run `pg_ctl stop`.
    pg.shutting_down = true;
    let in_cache = pg.pg_access.cache_dir.join("bin");
    if in_cache.symlink_metadata().is_ok() {
        std::fs::remove_file(&in_cache)?;
    }
    symlink(bin_dir, &in_cache)?;
    let made = pg.setup().await;
    // The password file is removed in any case; an error of `setup` is reported first.
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
        // The appliance has a time-out for this whole process.
        timeout: None,
        migration_dir: None,
    }
}

fn fetch_settings(version: &OsString) -> PgFetchSettings {
    // pg-embed requires a static string; this process ends soon.
    let version: &'static str = version.to_string_lossy().into_owned().leak();
    PgFetchSettings { version: PostgresVersion(version), ..PgFetchSettings::default() }
}
