//! The cluster of the managed PostgreSQL: `DATA/postgres/MAJOR`, and its password in `DATA/postgres/password`.
//!
//! Policy: a cluster is made under a temporary name (scram, UTF-8, locale C, data checksums) and renamed when it is complete. So a
//! directory with the final name is complete, and one with a temporary name is removed at the next start. A cluster of another
//! major version is never touched and never replaced by an empty one. The password is on disk before the cluster is.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::initdb::{self, Durability};
use super::installation::Installation;
use super::io_remedy::io_remedy;
use super::secret_file::{self, PARTIAL_MARK, sync_parent};
use crate::config::Secret;

/// Files of a complete cluster. `PG_VERSION` alone proves nothing, because initdb writes it first. The configuration is not among them: a start
/// does without.
const REQUIRED_FILES: [&str; 3] = ["PG_VERSION", "global/pg_control", "base/1"];
/// Makes a server follow another one, for which it has no address here.
const STANDBY_FILE: &str = "standby.signal";

/// Why there is no usable cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory or file cannot be read or written.
    #[error("{path}: {source}{hint}", path = .path.display(), hint = io_remedy(.source))]
    File {
        /// The directory or file.
        path: PathBuf,
        /// The error of the file system.
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
        /// The installation that was to run it.
        installation: Box<Installation>,
    },
    /// The directory has the name of a cluster, but lacks a required file.
    #[error(
        "{path} is not a complete PostgreSQL cluster ('{missing}' is missing); restore it from a backup, or move it away \
         to start with an empty database",
        path = .path.display()
    )]
    Incomplete {
        /// The directory.
        path: PathBuf,
        /// The missing file.
        missing: &'static str,
    },
    /// The cluster is a copy that follows another server.
    #[error(
        "{path} is a standby of another PostgreSQL ('{STANDBY_FILE}' is there) and can store nothing; remove that file to use the copy as it \
         is, or use that server (postgres.host)",
        path = .path.display()
    )]
    Standby {
        /// The directory.
        path: PathBuf,
    },
    /// initdb or pg_checksums failed.
    #[error("the database cluster cannot be made in {path}: {source}{remedy}", path = .path.display(), remedy = init_remedy(.source))]
    Init {
        /// The directory of the cluster.
        path: PathBuf,
        /// Why.
        source: initdb::Error,
    },
}

/// What an administrator can do, judged by the output of the program.
fn init_remedy(error: &initdb::Error) -> &'static str {
    let text = error.to_string();
    if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
        "\nfree some space (100 MB) or choose another data directory; nothing half-made was left behind"
    } else if text.contains("Permission denied") {
        "\ngive this user the directory or choose another data directory; nothing half-made was left behind"
    } else {
        "\nnothing half-made was left behind"
    }
}

/// A complete cluster and its password.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    /// Its directory, absolute and without symbolic links.
    pub(super) path: PathBuf,
    /// The password of [`SUPERUSER`].
    pub(super) password: Secret,
    /// The directory of all clusters.
    pub(super) root: PathBuf,
    /// Whether this call made it.
    pub(super) is_new: bool,
}

impl Cluster {
    /// Opens the cluster of `installation` below `data_dir`, or makes it if there is none.
    ///
    /// # Errors
    /// When it cannot be made, is of another major version, is incomplete, or follows another server.
    pub(super) async fn open(
        data_dir: &Path,
        installation: &Installation,
        durability: Durability,
        init_timeout: Duration,
    ) -> Result<Self, Error> {
        let root = data_dir.join("postgres");
        make_private_dir(&root)?;
        let root = root.canonicalize().map_err(at(&root))?;
        remove_partial_clusters(&root);
        let path = root.join(installation.version.major.to_string());
        refuse_other_major(&root, installation)?;
        let exists = path.symlink_metadata().is_ok();
        let password = password(&root.join("password"), exists)?;
        if exists {
            check_complete(&path)?;
            if path.join(STANDBY_FILE).exists() {
                return Err(Error::Standby { path });
            }
            close_to_others(&path)?;
        } else {
            let started = Instant::now();
            make(data_dir, &path, installation, &password, durability, init_timeout).await?;
            info!("made the database cluster {} in {} ms", path.display(), started.elapsed().as_millis());
        }
        Ok(Self { path, password, root, is_new: !exists })
    }
}

/// A server that another process of ours runs.
pub(super) struct Running {
    /// The directory of its socket, from its pid file.
    pub(super) socket_dir: PathBuf,
    /// The password of [`SUPERUSER`].
    pub(super) password: Secret,
    /// The directory of all clusters.
    pub(super) root: PathBuf,
}

/// The server that runs on `data_dir`.
pub(super) fn running(data_dir: &Path) -> Option<Running> {
    let root = data_dir.join("postgres");
    let password = fs::read_to_string(root.join("password")).ok()?;
    let clusters = fs::read_dir(&root).ok()?.flatten();
    // Line 5 of the pid file is the directory of the socket.
    let socket_dir = clusters.filter_map(|entry| {
        let text = fs::read_to_string(entry.path().join("postmaster.pid")).ok()?;
        text.lines().nth(4).map(|line| PathBuf::from(line.trim())).filter(|dir| dir.is_absolute())
    });
    let socket_dir = socket_dir.into_iter().next()?;
    Some(Running { socket_dir, password: Secret::new(password.trim()), root })
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path: path.clone(), source }
}

/// Makes a directory, and missing parents, that only this user can enter.
fn make_private_dir(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

/// Removes clusters that were not completed.
fn remove_partial_clusters(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().contains(PARTIAL_MARK)) {
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Ok(()) => info!("removed {}, left by an interrupted start", path.display()),
            Err(e) => warn!("cannot remove the leftover {}: {e}", path.display()),
        }
    }
}

/// Fails if the only cluster belongs to another major version, or if the version in it differs from its name.
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
    match REQUIRED_FILES.into_iter().find(|name| !path.join(name).exists()) {
        Some(missing) => Err(Error::Incomplete { path: path.to_owned(), missing }),
        None => Ok(()),
    }
}

/// The server does not start on a directory that others may enter.
fn close_to_others(path: &Path) -> Result<(), Error> {
    if fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o027 == 0 {
        return Ok(());
    }
    warn!("{} was open to other users; it is closed", path.display());
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(at(path))
}

/// Reads the password, or makes one. The superuser of a cluster that exists gets the new one when it is refused.
fn password(path: &Path, cluster_exists: bool) -> Result<Secret, Error> {
    match fs::read_to_string(path) {
        Ok(text) if is_password(text.trim()) => return Ok(Secret::new(text.trim())),
        Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => return Err(at(path)(e)),
        _ => {}
    }
    if cluster_exists {
        warn!("{} is missing or has no password; a new one is made", path.display());
    }
    let password = secret_file::random().map_err(at(path))?;
    secret_file::write(path, &password).map_err(at(path))?;
    Ok(Secret::new(password))
}

/// Whether a text can be quoted in SQL as it is: the appliance's own are hexadecimal digits.
fn is_password(text: &str) -> bool {
    (1..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"'\\".contains(&byte))
}

/// Makes the cluster under a temporary name and renames it.
async fn make(
    data_dir: &Path,
    path: &Path,
    installation: &Installation,
    password: &Secret,
    durability: Durability,
    timeout: Duration,
) -> Result<(), Error> {
    // With the process id, because an initdb that outlived its appliance may still write under the name of that one.
    let partial = path.with_file_name(format!("{}{PARTIAL_MARK}{}", installation.version.major, std::process::id()));
    let made = match initdb::run(data_dir, &partial, installation, password, durability, timeout).await {
        Ok(()) => check_complete(&partial)
            .and_then(|()| fs::rename(&partial, path).map_err(at(path)))
            .and_then(|()| sync_parent(path).map_err(at(path))),
        Err(source) => Err(Error::Init { path: path.to_owned(), source }),
    };
    if made.is_err() {
        // A failed removal is not reported: the first error matters, and the next start tries again.
        let _ = fs::remove_dir_all(&partial);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::installation::{Origin, Version};
    use crate::managed::testing::scratch;

    fn installation(major: u32) -> Installation {
        let version = Version { major, full: format!("{major}.1") };
        Installation { bin_dir: "/nowhere".into(), version, origin: Origin::Configured }
    }

    #[tokio::test]
    async fn data_of_another_major_version_is_rejected_and_both_versions_are_named() {
        let data = scratch("other-major");
        fs::create_dir_all(data.join("postgres/15")).unwrap();
        fs::write(data.join("postgres/15/PG_VERSION"), "15\n").unwrap();
        let error =
            Cluster::open(&data, &installation(16), Durability::Immediate, Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(&error, Error::OtherMajor { found, .. } if found == "15"), "{error}");
        let message = error.to_string();
        assert!(message.contains("PostgreSQL 16.1") && message.contains("postgres.bin_dir"), "{message}");
    }

    #[tokio::test]
    async fn an_incomplete_cluster_is_neither_used_nor_removed() {
        let data = scratch("incomplete");
        fs::create_dir_all(data.join("postgres/16")).unwrap();
        fs::write(data.join("postgres/16/PG_VERSION"), "16\n").unwrap();
        fs::write(data.join("postgres/password"), "secret").unwrap();
        let error =
            Cluster::open(&data, &installation(16), Durability::Immediate, Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(error, Error::Incomplete { missing: "global/pg_control", .. }), "{error}");
        assert!(data.join("postgres/16/PG_VERSION").exists());
    }

    #[tokio::test]
    async fn partial_clusters_are_removed_and_a_failed_initdb_leaves_none() {
        let data = scratch("leftovers");
        fs::create_dir_all(data.join("postgres/16-partial-1/base")).unwrap();
        fs::write(data.join("postgres/16-partial-1.pwfile"), "secret").unwrap();
        Cluster::open(&data, &installation(16), Durability::Immediate, Duration::from_secs(1)).await.unwrap_err();
        let left: Vec<_> = fs::read_dir(data.join("postgres")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["password"]);
    }

    #[test]
    fn the_password_is_made_once_and_is_private() {
        let dir = scratch("password");
        let path = dir.join("password");
        let made = password(&path, false).unwrap();
        assert_eq!(made.expose().len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(made == password(&path, true).unwrap());
    }

    #[test]
    fn a_password_file_without_a_usable_password_is_replaced() {
        let dir = scratch("lost-password");
        let path = dir.join("password");
        for text in [&b""[..], b" \n", b"two words", b"it's", b"\xff\xfe", &[b'x'; 2000]] {
            fs::write(&path, text).unwrap();
            let made = password(&path, true).unwrap();
            assert_eq!(made.expose().len(), 64);
            assert!(made == password(&path, true).unwrap());
        }
        fs::write(&path, "my-own.Pass+word\n").unwrap();
        assert_eq!(password(&path, true).unwrap().expose(), "my-own.Pass+word");
    }

    #[test]
    fn a_copy_that_follows_another_server_is_refused() {
        let cluster = scratch("standby");
        fs::write(cluster.join("standby.signal"), "").unwrap();
        let message = Error::Standby { path: cluster.clone() }.to_string();
        assert!(message.contains("standby.signal") && message.contains("postgres.host"), "{message}");
    }
}
