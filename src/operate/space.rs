//! Free space of the file system of a directory.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::Error;

/// What is free for this process, in bytes.
///
/// # Errors
/// When the file system does not answer.
pub(super) fn free_bytes(path: &Path) -> Result<u64, Error> {
    let found = statvfs(path).map_err(|errno| Error::at(path)(errno.into()))?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// Refuses to load a cluster of this many bytes, with room for some of its WAL, where the data directory has no room for it.
///
/// # Errors
/// When there is too little space.
pub(super) fn require_for_cluster(data_dir: &Path, scratch: &Path, needed: u64) -> Result<(), Error> {
    let free = free_bytes(scratch)?;
    if free >= needed {
        return Ok(());
    }
    Err(Error::NoSpace { path: data_dir.to_owned(), free: free >> 20, needed: needed >> 20 })
}
