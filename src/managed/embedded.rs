//! The PostgreSQL distribution inside this binary.
//!
//! Policy: each archive is unpacked once, into `DATA/dist/embedded-VERSION-CHECKSUM`: under a temporary name, and renamed when it is
//! complete and on disk. So a directory with the final name is complete. Partial directories and other versions are removed by the holder of the lock.
//! `packaging/postgres/fetch.sh` makes the archive, a tar on which the x86 filter of xz was used before zstd; a build without it embeds nothing.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use lzma_rust2::filter::bcj::BcjReader;
use nix::unistd::syncfs;
use rust_embed::{Embed, EmbeddedFile};
use tracing::{info, warn};

#[derive(Embed)]
#[folder = "target/postgres/"]
#[allow_missing = true]
struct Files;

/// In the name of a directory that is not complete.
const PARTIAL_MARK: &str = ".partial-";
/// The beginning of the names of all directories of this module.
const DIR_PREFIX: &str = "embedded-";

/// The embedded archive and its manifest.
pub(super) struct EmbeddedArchive {
    version: String,
    /// The directory of the programs, inside the archive.
    bin_dir: String,
    checksum: String,
    archive: EmbeddedFile,
}

impl EmbeddedArchive {
    /// The archive of this build, if it has one.
    pub(super) fn embedded() -> Option<Self> {
        let archive = Files::get("postgres.tar.x86.zst")?;
        let manifest = Files::get("manifest")?;
        let manifest = std::str::from_utf8(&manifest.data).ok()?;
        let value = |key: &str| {
            let line = manifest.lines().find_map(|line| line.split_once('=').filter(|(name, _)| *name == key));
            line.map(|(_, value)| value.to_owned())
        };
        Some(Self {
            version: value("version")?,
            bin_dir: value("bin_dir")?,
            checksum: value("archive_sha256")?,
            archive,
        })
    }

    /// PostgreSQL's version, such as `16.14`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Unpacks it below `dist` if it is not there yet, and returns the directory of its programs.
    ///
    /// # Errors
    /// When the directory cannot be written or is full; then no partial directory is left.
    pub(super) fn unpack(&self, dist: &Path) -> io::Result<PathBuf> {
        let name = self.directory_name();
        let target = dist.join(&name);
        fs::create_dir_all(dist)?;
        if !target.is_dir() {
            let partial = dist.join(format!("{name}{PARTIAL_MARK}{}", std::process::id()));
            let unpacked = self.unpack_into(&partial).and_then(|()| fs::rename(&partial, &target));
            if let Err(error) = unpacked {
                // A failed removal is not reported: the first error matters, and the next start tries again.
                let _ = fs::remove_dir_all(&partial);
                // Another process may have unpacked the same archive meanwhile.
                if !target.is_dir() {
                    return Err(error);
                }
            }
            File::open(dist)?.sync_all()?;
            info!("unpacked PostgreSQL {} into {}", self.version, target.display());
        }
        Ok(target.join(&self.bin_dir))
    }

    /// Removes partial directories and those of other versions. Only for the holder of the lock of the data directory: a server may run from
    /// them.
    pub(super) fn remove_others(&self, dist: &Path) {
        remove_others(dist, &self.directory_name());
    }

    fn directory_name(&self) -> String {
        format!("{DIR_PREFIX}{}-{}", self.version, self.checksum.get(..12).unwrap_or(&self.checksum))
    }

    fn unpack_into(&self, partial: &Path) -> io::Result<()> {
        fs::create_dir(partial)?;
        let filtered = zstd::stream::read::Decoder::with_buffer(&*self.archive.data)?;
        tar::Archive::new(BcjReader::new_x86(filtered, 0)).unpack(partial)?;
        // The files must be on disk before the rename. One sync of the file system is faster than 700 of single files.
        Ok(syncfs(File::open(partial)?)?)
    }
}

fn remove_others(dist: &Path, keep: &str) {
    let Ok(entries) = fs::read_dir(dist) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let unwanted = (name.starts_with(DIR_PREFIX) && name != keep) || name.contains(PARTIAL_MARK);
        if unwanted && let Err(e) = fs::remove_dir_all(entry.path()) {
            warn!("cannot remove the leftover {}: {e}", entry.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_unpacked_once_and_other_directories_are_removed() {
        let distribution = EmbeddedArchive::embedded()
            .expect("run packaging/postgres/fetch.sh first: this build embeds no PostgreSQL");
        let dir = crate::managed::testing::scratch("dist");
        let dist = dir.join("dist");
        let half = dist.join("embedded-16.14-000000000000.partial-1");
        let other = dist.join("embedded-15.1-000000000000");
        fs::create_dir_all(half.join("bin")).unwrap();
        fs::create_dir_all(&other).unwrap();
        let bin_dir = distribution.unpack(&dist).unwrap();
        assert!(bin_dir.join("postgres").is_file());
        assert!(half.exists() && other.exists(), "a server may run from them");
        distribution.remove_others(&dist);
        assert!(!half.exists() && !other.exists());
        fs::write(bin_dir.join("mark"), "").unwrap();
        assert_eq!(distribution.unpack(&dist).unwrap(), bin_dir);
        assert!(bin_dir.join("mark").exists(), "a complete distribution is not unpacked again");
        fs::remove_dir_all(dist).unwrap();
    }
}
