//! The PostgreSQL distribution inside this binary.
//!
//! Policy: it is unpacked once per archive into `DATA/dist/embedded-VERSION-CHECKSUM`, aside first and renamed when it is
//! complete and on disk; so a directory of that name is whole. Leftovers and other versions are removed.
//! `packaging/postgres/fetch.sh` makes the archive; a build without it embeds nothing.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::syncfs;
use rust_embed::{Embed, EmbeddedFile};
use tracing::{info, warn};

#[derive(Embed)]
#[folder = "target/postgres/"]
#[allow_missing = true]
struct Files;

/// What marks a directory that is not complete.
const PARTIAL: &str = ".partial-";
/// What the directories of this module start with.
const PREFIX: &str = "embedded-";

/// A distribution that can be unpacked.
pub(super) struct EmbeddedArchive {
    version: String,
    /// The directory of the programs, inside the archive.
    bin_dir: String,
    checksum: String,
    archive: EmbeddedFile,
}

impl EmbeddedArchive {
    /// The embedded distribution, where this build has one.
    pub(super) fn embedded() -> Option<Self> {
        let archive = Files::get("postgres.tar.zst")?;
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

    /// Unpacks it under `dist` unless that was done before, and returns the directory of its programs.
    ///
    /// # Errors
    /// When the directory cannot be written or is full; nothing is left behind then.
    pub(super) fn unpack(&self, dist: &Path) -> io::Result<PathBuf> {
        let name = format!("{PREFIX}{}-{}", self.version, self.checksum.get(..12).unwrap_or(&self.checksum));
        let target = dist.join(&name);
        fs::create_dir_all(dist)?;
        remove_others(dist, &name);
        if !target.is_dir() {
            let aside = dist.join(format!("{name}{PARTIAL}{}", std::process::id()));
            self.unpack_aside(&aside).and_then(|()| fs::rename(&aside, &target)).inspect_err(|_| {
                // Only clears the way; the error that matters is already on its way up.
                let _ = fs::remove_dir_all(&aside);
            })?;
            File::open(dist)?.sync_all()?;
            info!("unpacked PostgreSQL {} into {}", self.version, target.display());
        }
        Ok(target.join(&self.bin_dir))
    }

    fn unpack_aside(&self, aside: &Path) -> io::Result<()> {
        fs::create_dir(aside)?;
        let decoder = zstd::stream::read::Decoder::with_buffer(&*self.archive.data)?;
        tar::Archive::new(decoder).unpack(aside)?;
        // One sync of the file system instead of one for each of 700 files: the rename must not reach the disk first.
        Ok(syncfs(File::open(aside)?)?)
    }
}

/// Removes what an interrupted unpacking or another version of the appliance left. The data directory is ours alone.
fn remove_others(dist: &Path, keep: &str) {
    let Ok(entries) = fs::read_dir(dist) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let unwanted = (name.starts_with(PREFIX) && name != keep) || name.contains(PARTIAL);
        if unwanted && let Err(e) = fs::remove_dir_all(entry.path()) {
            warn!("cannot remove the leftover {}: {e}", entry.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacks_once_and_clears_leftovers() {
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
        assert!(!half.exists() && !other.exists());
        fs::write(bin_dir.join("mark"), "").unwrap();
        assert_eq!(distribution.unpack(&dist).unwrap(), bin_dir);
        assert!(bin_dir.join("mark").exists(), "a complete distribution is not unpacked again");
        fs::remove_dir_all(dist).unwrap();
    }
}
