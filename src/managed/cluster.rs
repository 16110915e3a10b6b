//! The cluster of the managed PostgreSQL: `DATA/postgres/MAJOR`, and its password in `DATA/postgres/password`.
//!
//! Policy: a cluster is made aside, completed (scram, UTF-8, locale C, data checksums) and renamed at the end; so a
//! directory of that name is whole, and what is aside is a leftover and removed. A cluster of another major version is
//! never touched and never silently replaced by an empty one. The password is on disk before the cluster is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tracing::{info, warn};

use super::command::{ChildCommand, Input};
use super::distribution::{Installation, hint};
use super::helper;
use crate::config::Secret;

/// The role that owns the cluster, and that the appliance uses.
pub(super) const SUPERUSER: &str = "postgres";
/// What marks a cluster that is not complete.
const PARTIAL: &str = "-partial-";
/// What a complete cluster has; `PG_VERSION` alone is written early.
const ESSENTIAL: [&str; 5] = ["PG_VERSION", "postgresql.conf", "pg_hba.conf", "global/pg_control", "base/1"];

/// Why there is no usable cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory or file cannot be read or written.
    #[error("{path}: {source}{hint}", path = .path.display(), hint = hint(.source))]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data belongs to another major version.
    #[error(
        "the data in {path} was made by PostgreSQL {found}, but the one to be used is {installation}; set postgres.bin_dir to \
         the programs of a PostgreSQL {found}, or dump the data with those and restore it into a new data directory",
        path = .path.display()
    )]
    OtherMajor {
        /// The cluster.
        path: PathBuf,
        /// Its major version.
        found: String,
        /// What was to run it.
        installation: Box<Installation>,
    },
    /// The directory has the name of a cluster and is not one.
    #[error(
        "{path} is not a complete PostgreSQL cluster ('{missing}' is missing); restore it from a backup, or move it away \
         to start with an empty database",
        path = .path.display()
    )]
    Incomplete {
        /// The directory.
        path: PathBuf,
        /// What it lacks.
        missing: &'static str,
    },
    /// The key to existing data is gone.
    #[error(
        "the password file {path} is missing or empty, and the cluster beside it cannot be entered without it; restore \
         the file from a backup of the data directory",
        path = .path.display()
    )]
    PasswordLost {
        /// The file.
        path: PathBuf,
    },
    /// initdb or pg_checksums failed.
    #[error("the database cluster cannot be made in {path}: {source}{remedy}", path = .path.display(), remedy = init_remedy(.source))]
    Init {
        /// Where it was to be.
        path: PathBuf,
        /// What happened.
        source: helper::Error,
    },
}

/// What a person can do, as far as the output tells.
fn init_remedy(error: &helper::Error) -> &'static str {
    let text = error.to_string();
    if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
        "\nfree some space (100 MB) or choose another data directory; nothing half-made was left behind"
    } else if text.contains("Permission denied") {
        "\ngive this user the directory or choose another data directory; nothing half-made was left behind"
    } else {
        "\nnothing half-made was left behind"
    }
}

/// A complete cluster and the key to it.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    /// Its directory, absolute and without symbolic links.
    pub(super) path: PathBuf,
    /// The password of [`SUPERUSER`].
    pub(super) password: Secret,
}

impl Cluster {
    /// Opens the cluster of `installation` below `data_dir`, making it if there is none.
    ///
    /// # Errors
    /// When it cannot be made, is of another major version, is damaged, or its password is gone.
    pub(super) async fn open(
        data_dir: &Path,
        installation: &Installation,
        init_timeout: Duration,
    ) -> Result<Self, Error> {
        let root = data_dir.join("postgres");
        make_private_dir(&root)?;
        let root = root.canonicalize().map_err(at(&root))?;
        remove_leftovers(&root);
        let path = root.join(installation.version.major.to_string());
        refuse_other_major(&root, installation)?;
        let exists = path.symlink_metadata().is_ok();
        let password = password(&root.join("password"), exists)?;
        if exists {
            check_complete(&path)?;
        } else {
            let begun = Instant::now();
            make(data_dir, &path, installation, &password, init_timeout).await?;
            info!("made the database cluster {} in {} ms", path.display(), begun.elapsed().as_millis());
        }
        Ok(Self { path, password })
    }
}

/// The socket directory and the password of a server that runs on `data_dir` now, as it says itself.
pub(super) fn running(data_dir: &Path) -> Option<(PathBuf, Secret)> {
    let root = data_dir.join("postgres");
    let password = fs::read_to_string(root.join("password")).ok()?;
    let clusters = fs::read_dir(&root).ok()?.flatten();
    // Line 5 of its pid file is the directory of its socket.
    let socket_dir = clusters.filter_map(|entry| {
        let text = fs::read_to_string(entry.path().join("postmaster.pid")).ok()?;
        text.lines().nth(4).map(|line| PathBuf::from(line.trim())).filter(|dir| dir.is_absolute())
    });
    socket_dir.into_iter().next().map(|dir| (dir, Secret::new(password.trim())))
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path: path.clone(), source }
}

/// Makes a directory, and those above it, that only we can enter.
fn make_private_dir(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

/// Removes clusters that were never completed.
fn remove_leftovers(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().contains(PARTIAL)) {
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Ok(()) => info!("removed {}, left by an interrupted start", path.display()),
            Err(e) => warn!("cannot remove the leftover {}: {e}", path.display()),
        }
    }
}

/// Refuses when the only data there is belongs to another major version, or is not what its name says.
fn refuse_other_major(root: &Path, installation: &Installation) -> Result<(), Error> {
    let wanted = installation.version.major.to_string();
    let own = root.join(&wanted);
    let clusters = fs::read_dir(root).map_err(at(root))?.flatten().map(|entry| entry.path());
    let candidates: Vec<PathBuf> = if own.is_dir() { vec![own] } else { clusters.collect() };
    for path in candidates {
        let Ok(found) = fs::read_to_string(path.join("PG_VERSION")) else { continue };
        let found = found.trim().to_owned();
        if found != wanted {
            return Err(Error::OtherMajor { path, found, installation: Box::new(installation.clone()) });
        }
    }
    Ok(())
}

fn check_complete(path: &Path) -> Result<(), Error> {
    match ESSENTIAL.into_iter().find(|name| !path.join(name).exists()) {
        Some(missing) => Err(Error::Incomplete { path: path.to_owned(), missing }),
        None => Ok(()),
    }
}

/// Reads the password, or makes one where no cluster depends on it yet.
fn password(path: &Path, cluster_exists: bool) -> Result<Secret, Error> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(Secret::new(text.trim())),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at(path)(e)),
        _ if cluster_exists => return Err(Error::PasswordLost { path: path.to_owned() }),
        _ => {}
    }
    let mut random = [0_u8; 32];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random)).map_err(at(path))?;
    let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    write_private(path, &password).map_err(at(path))?;
    Ok(Secret::new(password))
}

/// Writes a file that only we can read, durably and never half.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let aside = path.with_file_name(format!("password{PARTIAL}{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    sync_parent(path)
}

/// Makes a rename durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Makes the cluster aside and renames it.
async fn make(
    data_dir: &Path,
    path: &Path,
    installation: &Installation,
    password: &Secret,
    timeout: Duration,
) -> Result<(), Error> {
    // The process id keeps it apart from what an initdb that outlived its appliance may still write.
    let aside = path.with_file_name(format!("{}{PARTIAL}{}", installation.version.major, std::process::id()));
    let made = match make_aside(data_dir, &aside, installation, password, timeout).await {
        Ok(()) => check_complete(&aside)
            .and_then(|()| fs::rename(&aside, path).map_err(at(path)))
            .and_then(|()| sync_parent(path).map_err(at(path))),
        Err(source) => Err(Error::Init { path: path.to_owned(), source }),
    };
    if made.is_err() {
        // Only clears the way; the error that matters is already on its way up.
        let _ = fs::remove_dir_all(&aside);
    }
    made
}

async fn make_aside(
    data_dir: &Path,
    aside: &Path,
    installation: &Installation,
    password: &Secret,
    timeout: Duration,
) -> Result<(), helper::Error> {
    if !run_pg_embed(data_dir, aside, installation, password, timeout).await? {
        // What pg-embed's attempt left is in the way of the next one.
        let _ = fs::remove_dir_all(aside);
        return run_initdb(aside, installation, password, timeout).await;
    }
    // pg-embed cannot ask initdb for checksums.
    let checksums = ChildCommand::new(installation.program("pg_checksums"), Signal::SIGKILL);
    let enabled = helper::run_helper(&checksums.args(["--enable", "-D"]).arg(aside), timeout).await;
    match enabled {
        Err(e) if !already_enabled(&e) => Err(e),
        _ => Ok(()),
    }
}

/// PostgreSQL 18 and newer make checksums by themselves.
fn already_enabled(error: &helper::Error) -> bool {
    error.to_string().contains("already enabled")
}

/// Lets pg-embed make the cluster; false where it cannot, and initdb must be run directly.
#[cfg(feature = "download")]
async fn run_pg_embed(
    data_dir: &Path,
    aside: &Path,
    installation: &Installation,
    password: &Secret,
    timeout: Duration,
) -> Result<bool, helper::Error> {
    if !installation.program("pg_checksums").is_file() {
        // The downloaded distribution is that small; then only initdb can turn checksums on.
        return Ok(false);
    }
    let cache = data_dir.join("cache");
    match super::pg_embed::make_cluster(installation, &cache, aside, password, timeout).await {
        Ok(()) => Ok(true),
        Err(e @ helper::Error::Timeout { .. }) => Err(e),
        Err(e) => {
            // It keeps initdb's words to itself; initdb itself will say what is wrong, or succeed.
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
    aside: &Path,
    installation: &Installation,
    password: &Secret,
    timeout: Duration,
) -> Result<(), helper::Error> {
    let command = ChildCommand::new(installation.program("initdb"), Signal::SIGKILL)
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"])
        .args(["--username", SUPERUSER, "--pwfile=/dev/stdin", "-D"])
        .arg(aside)
        .input(Input::Bytes(Arc::from(password.expose().as_bytes())));
    helper::run_helper(&command, timeout).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::managed::distribution::{Origin, Version};
    use crate::managed::testing::scratch;

    fn installation(major: u32) -> Installation {
        let version = Version { major, full: format!("{major}.1") };
        Installation { bin_dir: "/nowhere".into(), version, origin: Origin::Configured }
    }

    #[tokio::test]
    async fn data_of_another_major_version_is_refused_and_both_are_named() {
        let data = scratch("other-major");
        fs::create_dir_all(data.join("postgres/15")).unwrap();
        fs::write(data.join("postgres/15/PG_VERSION"), "15\n").unwrap();
        let error = Cluster::open(&data, &installation(16), Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(&error, Error::OtherMajor { found, .. } if found == "15"), "{error}");
        let message = error.to_string();
        assert!(message.contains("PostgreSQL 16.1") && message.contains("postgres.bin_dir"), "{message}");
    }

    #[tokio::test]
    async fn an_incomplete_cluster_is_not_used_and_not_removed() {
        let data = scratch("incomplete");
        fs::create_dir_all(data.join("postgres/16")).unwrap();
        fs::write(data.join("postgres/16/PG_VERSION"), "16\n").unwrap();
        fs::write(data.join("postgres/password"), "secret").unwrap();
        let error = Cluster::open(&data, &installation(16), Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(error, Error::Incomplete { missing: "postgresql.conf", .. }), "{error}");
        assert!(data.join("postgres/16/PG_VERSION").exists());
    }

    #[tokio::test]
    async fn leftovers_go_and_a_failed_initdb_leaves_none() {
        let data = scratch("leftovers");
        fs::create_dir_all(data.join("postgres/16-partial-1/base")).unwrap();
        fs::write(data.join("postgres/16-partial-1.pwfile"), "secret").unwrap();
        Cluster::open(&data, &installation(16), Duration::from_secs(1)).await.unwrap_err();
        let left: Vec<_> = fs::read_dir(data.join("postgres")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["password"]);
    }

    #[test]
    fn a_password_is_made_once_and_is_private() {
        let dir = scratch("password");
        let path = dir.join("password");
        let made = password(&path, false).unwrap();
        assert_eq!(made.expose().len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(made == password(&path, true).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(matches!(password(&path, true), Err(Error::PasswordLost { .. })));
    }
}
