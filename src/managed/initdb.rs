//! Makes a database cluster: pg-embed, or initdb itself, and data checksums.
//!
//! Policy: initdb passes the path of its own programs to a shell, between quotes in which `$`, a backtick, `"` and `\` have a meaning. The embedded
//! programs are below the data directory, whose name is the user's choice, so with such a name they are unpacked once more, into a temporary
//! directory. Other programs with such a name are refused. The path of the cluster does not reach the shell.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tracing::{info, warn};

use super::command::{ChildCommand, Input};
use super::embedded::EmbeddedArchive;
use super::helper;
use super::installation::{Installation, Origin, SUPERUSER};
use super::secret_file;
use crate::config::Secret;

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program failed.
    #[error(transparent)]
    Program(#[from] helper::Error),
    /// The path of the programs has a meaning for the shell.
    #[error(
        "initdb would pass the path of its programs to a shell, for which $, `, \" and \\ have a meaning: {path}; give that directory another name",
        path = .path.display()
    )]
    ShellName {
        /// The directory of the programs.
        path: PathBuf,
    },
    /// The operating system has no random numbers.
    #[error("the name of a temporary directory cannot be made: {0}")]
    Random(#[source] io::Error),
    /// The programs could not be unpacked into a temporary directory.
    #[error(
        "initdb needs its programs in a directory without $, `, \" and \\ in its name, and they cannot be unpacked into {path}: {source}; give the data \
         directory another name, or set TMPDIR",
        path = .path.display()
    )]
    Unpack {
        /// The temporary directory.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
}

/// When the files of a new cluster are brought to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Before it is used.
    Immediate,
    /// By the caller, when it is complete, or never.
    Deferred,
}

/// Whether a shell takes the path as it is, between double quotes.
fn is_shell_safe(path: &Path) -> bool {
    !path.as_os_str().as_bytes().iter().any(|byte| b"$`\"\\\n".contains(byte))
}

/// Programs whose path the shell takes as it is. What was unpacked for that is removed when this is dropped.
struct ShellSafePrograms {
    installation: Installation,
    temporary: Option<PathBuf>,
}

impl ShellSafePrograms {
    async fn of(installation: &Installation) -> Result<Self, Error> {
        if is_shell_safe(&installation.bin_dir) {
            return Ok(Self { installation: installation.clone(), temporary: None });
        }
        let suffix = secret_file::random().map_err(Error::Random)?;
        let path = std::env::temp_dir().join(format!("attendance-api-initdb-{}", &suffix[..16]));
        let archive =
            EmbeddedArchive::embedded().filter(|_| installation.origin == Origin::Embedded && is_shell_safe(&path));
        let Some(archive) = archive else { return Err(Error::ShellName { path: installation.bin_dir.clone() }) };
        info!(
            "the programs of PostgreSQL are unpacked into {} for initdb, whose shell needs another path",
            path.display()
        );
        let mut programs = Self { installation: installation.clone(), temporary: None };
        let failed = |source| Error::Unpack { path: path.clone(), source };
        // Fails if it exists: others can write into the directory of temporary files.
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        programs.temporary = Some(path.clone());
        let target = path.clone();
        let unpacked = tokio::task::spawn_blocking(move || archive.unpack(&target)).await;
        programs.installation.bin_dir = unpacked.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)?;
        Ok(programs)
    }
}

impl Drop for ShellSafePrograms {
    fn drop(&mut self) {
        if let Some(path) = &self.temporary
            && let Err(error) = fs::remove_dir_all(path)
        {
            warn!("cannot remove {}: {error}", path.display());
        }
    }
}

/// Makes a cluster in the directory `partial`, with the programs of `installation`.
///
/// # Errors
/// When a program fails or takes longer than `timeout`, or the shell cannot be given the path of the programs.
pub(super) async fn run(
    data_dir: &Path,
    partial: &Path,
    installation: &Installation,
    password: &Secret,
    durability: Durability,
    timeout: Duration,
) -> Result<(), Error> {
    let programs = ShellSafePrograms::of(installation).await?;
    let installation = &programs.installation;
    if durability == Durability::Deferred {
        // pg-embed has no option for it.
        return Ok(run_initdb(partial, installation, password, &["--no-sync"], timeout).await?);
    }
    if !run_pg_embed(data_dir, partial, installation, password, timeout).await? {
        // initdb requires an empty directory.
        let _ = fs::remove_dir_all(partial);
        return Ok(run_initdb(partial, installation, password, &[], timeout).await?);
    }
    // pg-embed has no option for checksums.
    let checksums = ChildCommand::new(installation.program("pg_checksums"), Signal::SIGKILL);
    let enabled = helper::run_helper(&checksums.args(["--enable", "-D"]).arg(partial), timeout).await;
    match enabled {
        Err(e) if !already_enabled(&e) => Err(e.into()),
        _ => Ok(()),
    }
}

/// PostgreSQL 18 and newer enable checksums by default.
fn already_enabled(error: &helper::Error) -> bool {
    error.to_string().contains("already enabled")
}

/// Makes the cluster with pg-embed; returns false if initdb must be run directly instead.
#[cfg(feature = "download")]
async fn run_pg_embed(
    data_dir: &Path,
    partial: &Path,
    installation: &Installation,
    password: &Secret,
    timeout: Duration,
) -> Result<bool, helper::Error> {
    if !installation.program("pg_checksums").is_file() {
        // The downloaded distribution has no pg_checksums; only initdb can enable checksums then.
        return Ok(false);
    }
    let cache = data_dir.join("cache");
    match super::pg_embed::make_cluster(installation, &cache, partial, password, timeout).await {
        Ok(()) => Ok(true),
        Err(e @ helper::Error::Timeout { .. }) => Err(e),
        Err(e) => {
            // pg-embed hides the output of initdb; run directly, initdb reports the cause or succeeds.
            warn!("pg-embed could not make the cluster, running initdb directly: {e}");
            Ok(false)
        }
    }
}

#[cfg(not(feature = "download"))]
async fn run_pg_embed(_: &Path, _: &Path, _: &Installation, _: &Secret, _: Duration) -> Result<bool, helper::Error> {
    Ok(false)
}

async fn run_initdb(
    partial: &Path,
    installation: &Installation,
    password: &Secret,
    options: &[&str],
    timeout: Duration,
) -> Result<(), helper::Error> {
    let command = ChildCommand::new(installation.program("initdb"), Signal::SIGKILL)
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"])
        .args(options)
        .args(["--username", SUPERUSER, "--pwfile=/dev/stdin", "-D"])
        .arg(partial)
        .input(Input::Bytes(Arc::from(password.expose().as_bytes())));
    helper::run_helper(&command, timeout).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_a_shell_changes_are_unsafe() {
        for path in ["/a b/c", "/it's", "/a;b|c&d", "/*?[x]", "/ü", "/-x", "/a#b"] {
            assert!(is_shell_safe(Path::new(path)), "{path}");
        }
        for path in ["/a$b", "/a`b`", "/a\"b", "/a\\b", "/a\nb"] {
            assert!(!is_shell_safe(Path::new(path)), "{path}");
        }
    }
}
