//! The space that the managed cluster has left, and a reserve for its recovery.
//!
//! Policy: PostgreSQL ends when it cannot write its log (WAL), and then cannot recover without space, so that not even reads are
//! answered. Therefore the appliance refuses creates while there is still room for one further file of the log, and keeps a reserve,
//! which is given up before a start for which there is no room: the recovery then succeeds and frees old files of the log. Tables and log may
//! be on different file systems; the one with the least room counts. A quota cannot be seen in these numbers: after a suspicion a file is written.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::{FsFlags, statvfs};
use tracing::{debug, info, warn};

/// The space below which nothing more is stored: a file of the log, and some for tables and PostgreSQL's small files.
const MIN_FREE_BYTES: u64 = 20 << 20;
/// The space from which records are stored again, so that the state does not change with every file of the log.
const RESUME_FREE_BYTES: u64 = 24 << 20;
/// The files that must still be possible.
const MIN_FREE_INODES: u64 = 16;
/// The space that is kept for a recovery: two files of the log.
const RESERVE_BYTES: u64 = 32 << 20;
/// The reserve is made only where there is this much besides.
const RESERVE_MARGIN: u64 = 128 << 20;
/// The name of the reserve, in the directory of the log, whose files PostgreSQL recognises by their names.
const RESERVE_NAME: &str = "attendance-reserve";
/// Files that exist in the cluster and below `base`, to be opened for writing.
const MARKER_NAMES: [&str; 3] = ["PG_VERSION", "1/PG_VERSION", RESERVE_NAME];
/// The name of the file that is written after a suspicion.
const PROBE_NAME: &str = "attendance-probe";
/// The size of that file: a file system takes a few bytes for which it has room in its tables.
const PROBE_BYTES: usize = 64 << 10;

/// What is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes.
    pub bytes: u64,
    /// Files; none if the file system has no such limit.
    pub inodes: Option<u64>,
}

/// Why nothing more can be stored.
#[derive(Debug)]
pub enum Problem {
    /// There is too little space.
    Bytes(u64),
    /// No further file can be made.
    Inodes(u64),
    /// The file system is mounted read-only, or has become read-only after an error.
    ReadOnly,
    /// A file could not be written.
    Write(io::Error),
}

impl Problem {
    /// Whether it is that of a read-only file system.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::ReadOnly => true,
            Self::Write(error) => error.kind() == io::ErrorKind::ReadOnlyFilesystem,
            Self::Bytes(_) | Self::Inodes(_) => false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(free) => write!(f, "{free} bytes are free, and {MIN_FREE_BYTES} are needed"),
            Self::Inodes(free) => write!(f, "{free} further files can be made, and {MIN_FREE_INODES} are needed"),
            Self::ReadOnly => f.write_str("its file system is read-only"),
            Self::Write(error) => write!(f, "a file cannot be written: {error}"),
        }
    }
}

/// The file systems of a cluster.
#[derive(Debug, Clone)]
pub struct DataDisk {
    cluster: PathBuf,
    is_low: bool,
    is_unwritable: bool,
}

impl DataDisk {
    /// The file systems of the cluster in this directory.
    pub(super) fn new(cluster: &Path) -> Self {
        Self { cluster: cluster.to_owned(), is_low: false, is_unwritable: false }
    }

    fn log(&self) -> PathBuf {
        self.cluster.join("pg_wal")
    }

    /// One directory of each file system: of the cluster, of the log, of tables.
    fn directories(&self) -> Vec<PathBuf> {
        let mut devices = Vec::new();
        let all = [self.cluster.clone(), self.log(), self.cluster.join("base")];
        all.into_iter()
            .filter(|directory| {
                let device = fs::metadata(directory).map(|found| found.dev()).ok();
                let is_new = device.is_some() && !devices.contains(&device);
                devices.push(device);
                is_new
            })
            .collect()
    }

    /// Measures what is left, and writes a file if a statement has failed because of the disk (`is_suspected`) or a file could not be
    /// written last time. Makes the reserve if there is room. Blocks for as long as the file system does.
    pub fn check(&mut self, is_suspected: bool) -> (FreeSpace, Option<Problem>) {
        let mut free = FreeSpace { bytes: u64::MAX, inodes: None };
        let mut problem = None;
        for directory in self.directories() {
            match measure(&directory) {
                Ok((found, is_read_only)) => {
                    free.bytes = free.bytes.min(found.bytes);
                    free.inodes = [free.inodes, found.inodes].into_iter().flatten().min();
                    if is_read_only || has_become_read_only(&directory) {
                        problem.get_or_insert(Problem::ReadOnly);
                    }
                }
                Err(error) => debug!("{} cannot be measured: {error}", directory.display()),
            }
        }
        let limit = if self.is_low { RESUME_FREE_BYTES } else { MIN_FREE_BYTES };
        // What the recovery left of a reserve is not for records.
        let limit =
            if self.reserve().is_some_and(|bytes| bytes < RESERVE_BYTES) { limit + RESERVE_BYTES } else { limit };
        self.is_low = free.bytes < limit;
        if self.is_low {
            problem.get_or_insert(Problem::Bytes(free.bytes));
        }
        if let Some(inodes) = free.inodes.filter(|inodes| *inodes < MIN_FREE_INODES) {
            problem.get_or_insert(Problem::Inodes(inodes));
        }
        if problem.is_none() && (is_suspected || self.is_unwritable) {
            problem = self.directories().iter().find_map(|directory| probe(directory).err()).map(Problem::Write);
            self.is_unwritable = problem.is_some();
        }
        if problem.is_none() {
            self.make_reserve();
        }
        (free, problem)
    }

    /// The size of the reserve: nothing if it was given up. None if there is none, because there never was plenty of room.
    fn reserve(&self) -> Option<u64> {
        self.log().join(RESERVE_NAME).symlink_metadata().ok().map(|found| found.len())
    }

    /// Makes the reserve if it is missing or was given up, and there is plenty of room.
    fn make_reserve(&self) {
        if self.reserve() == Some(RESERVE_BYTES) {
            return;
        }
        let path = self.log().join(RESERVE_NAME);
        let has_room = measure(&self.log()).is_ok_and(|(free, _)| free.bytes > RESERVE_BYTES + RESERVE_MARGIN);
        if has_room && let Err(error) = allocate(&path) {
            debug!("no reserve for a recovery: {}: {error}", path.display());
            // Without its whole size it is none.
            let _ = fs::remove_file(&path);
        }
    }

    /// Gives the reserve up if there is no room for a recovery. For the time before a start of the server.
    pub(super) fn make_room(&self) {
        let is_low = measure(&self.log()).is_ok_and(|(free, _)| free.bytes < MIN_FREE_BYTES);
        if !is_low || self.reserve().unwrap_or(0) == 0 {
            return;
        }
        let path = self.log().join(RESERVE_NAME);
        // Emptied and not removed, so that a later start sees that it was given up.
        match OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(0)) {
            Ok(()) => warn!(
                "the disk is full: the reserve of {RESERVE_BYTES} bytes is given up, so that PostgreSQL can start"
            ),
            Err(error) => info!("the reserve {} cannot be given up: {error}", path.display()),
        }
    }
}

fn measure(directory: &Path) -> io::Result<(FreeSpace, bool)> {
    let found = statvfs(directory)?;
    // Some file systems make files as they are needed, and report none at all.
    let inodes = (found.files() > 0).then(|| found.files_available());
    let bytes = found.blocks_available() * found.fragment_size();
    Ok((FreeSpace { bytes, inodes }, found.flags().contains(FsFlags::ST_RDONLY)))
}

/// Whether the file system refuses to open a file for writing. After an error, that of Linux 6.15 and newer does not say so elsewhere.
fn has_become_read_only(directory: &Path) -> bool {
    MARKER_NAMES.iter().any(|name| {
        let opened = OpenOptions::new().write(true).open(directory.join(name));
        opened.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
    })
}

/// Writes a file and removes it.
fn probe(directory: &Path) -> io::Result<()> {
    let path = directory.join(PROBE_NAME);
    let written = create(&path).and_then(|mut file| {
        file.write_all(&vec![b'x'; PROBE_BYTES])?;
        file.sync_all()
    });
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

fn allocate(path: &Path) -> io::Result<()> {
    let file = create(path)?;
    let length = i64::try_from(RESERVE_BYTES).map_err(io::Error::other)?;
    Ok(posix_fallocate(&file, 0, length)?)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn a_cluster_with_room_has_no_problem_and_gets_a_reserve_that_stays_while_there_is_room() {
        let cluster = scratch("disk");
        fs::create_dir_all(cluster.join("pg_wal")).unwrap();
        fs::create_dir_all(cluster.join("base")).unwrap();
        let mut disk = DataDisk::new(&cluster);
        assert_eq!(disk.directories(), [cluster.to_path_buf()], "one file system is measured once");
        let (free, problem) = disk.check(true);
        assert!(problem.is_none(), "{problem:?}");
        assert!(free.bytes > MIN_FREE_BYTES);
        assert!(!cluster.join(PROBE_NAME).exists());
        let reserve = cluster.join("pg_wal").join(RESERVE_NAME);
        assert_eq!(reserve.metadata().unwrap().len(), RESERVE_BYTES);
        assert!(reserve.metadata().unwrap().blocks() * 512 >= RESERVE_BYTES, "it takes up space");
        disk.make_room();
        assert_eq!(reserve.metadata().unwrap().len(), RESERVE_BYTES);
        // Given up, and made again where there is room.
        File::create(&reserve).unwrap();
        assert_eq!(disk.reserve(), Some(0));
        assert!(disk.check(false).1.is_none());
        assert_eq!(disk.reserve(), Some(RESERVE_BYTES));
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_a_problem_until_it_can() {
        let cluster = scratch("unwritable");
        let mut disk = DataDisk::new(&cluster);
        // A directory in the place of the file, since root may write anywhere.
        fs::create_dir(cluster.join(PROBE_NAME)).unwrap();
        assert!(disk.check(false).1.is_none());
        assert!(matches!(disk.check(true).1, Some(Problem::Write(_))));
        assert!(disk.check(false).1.is_some(), "measured again without a further suspicion");
        fs::remove_dir(cluster.join(PROBE_NAME)).unwrap();
        assert!(disk.check(false).1.is_none());
    }
}
