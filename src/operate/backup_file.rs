//! The file of a backup that is being made.
//!
//! Policy: it has a temporary name, which begins with a dot, until it is complete and on disk, and only its owner can read it. It is locked meanwhile, so that
//! the next backup removes those that a killed process left and no other.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use nix::unistd::geteuid;

use super::archive_writer::Sink;
use super::directory::{self, BackupName};
use super::encryption::{self, Encryption};
use super::{Error, fault};
use crate::managed::secret_file::sync_parent;

/// Between the final name and the process id.
const PARTIAL_MARK: &str = ".partial-";
/// How many names are tried for a complete file.
const MAX_NAMES: u32 = 10;
/// The size of the buffer for writes, in bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// Where a backup is written.
#[derive(Debug, Clone)]
pub enum Target {
    /// A file that does not exist.
    File(PathBuf),
    /// A file with the time and the label in its name, in this directory, which is made if it is missing.
    Directory(PathBuf),
}

impl Target {
    /// The file or the directory.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Directory(path) => path,
        }
    }

    /// The path of the file that was made, if it counts as one of this data directory: one that was named does not.
    pub(super) fn recorded<'a>(&self, made: &'a Path) -> Option<&'a Path> {
        match self {
            Self::File(_) => None,
            Self::Directory(_) => Some(made),
        }
    }
}

/// A file that becomes a backup when it is complete.
#[derive(Debug)]
pub struct BackupFile {
    path: PathBuf,
    /// Its name, if it is in the directory of backups: then another one is taken if another appliance was faster.
    name: Option<BackupName>,
    partial: PathBuf,
    file: Option<Flock<File>>,
    encryption: Option<Encryption>,
}

impl BackupFile {
    /// Begins a file.
    ///
    /// # Errors
    /// When it exists, or the directory cannot be written.
    pub fn create(
        target: &Target,
        time: Timestamp,
        label: Option<&str>,
        encryption: Option<&Encryption>,
    ) -> Result<Self, Error> {
        if let Some(label) = label {
            directory::check_label(label)?;
        }
        let (path, own_name) = match target {
            Target::File(path) => (path.clone(), None),
            Target::Directory(directory) => {
                directory::prepare(directory)?;
                let next = BackupName { time, label: label.map(str::to_owned), is_encrypted: encryption.is_some() };
                (directory::next_path(directory, &next)?, Some(next))
            }
        };
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists { path });
        }
        let parent = parent(&path);
        directory::check_writable(&parent)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename.into()).map_err(Error::at(&path))?;
        let name = name.to_string_lossy().into_owned();
        remove_partial_files(&parent, &name)?;
        let partial = parent.join(format!(".{name}{PARTIAL_MARK}{}", std::process::id()));
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(Error::at(&partial))?;
        if own_name.is_some() && geteuid().is_root() {
            // The service, which has another user, lists and removes it later.
            let owner = fs::metadata(&parent).map_err(Error::at(&parent))?;
            fchown(&file, Some(owner.uid()), Some(owner.gid())).map_err(Error::at(&partial))?;
        }
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| Error::at(&partial)(errno.into()))?;
        Ok(Self { path, name: own_name, partial, file: Some(file), encryption: encryption.cloned() })
    }

    /// Where to write it. It is encrypted on the way.
    ///
    /// # Errors
    /// When the descriptor cannot be copied, or the beginning cannot be written.
    pub fn sink(&self) -> Result<Box<dyn Sink>, Error> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound.into()).and_then(|file| file.try_clone());
        let file = file.map_err(Error::at(&self.partial))?;
        encryption::encrypted(
            Box::new(FileSink(BufWriter::with_capacity(BUFFER_BYTES, file))),
            self.encryption.as_ref(),
        )
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn commit(mut self) -> Result<PathBuf, Error> {
        fault::point("create-before-rename");
        for _ in 0..MAX_NAMES {
            match rename_to_new(&self.partial, &self.path) {
                Ok(()) => {
                    self.file = None;
                    sync_parent(&self.path).map_err(Error::at(&self.path))?;
                    return Ok(self.path.clone());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match &self.name {
                    Some(name) => self.path = directory::next_path(&parent(&self.path), name)?,
                    None => break,
                },
                Err(error) => return Err(Error::at(&self.path)(error)),
            }
        }
        Err(Error::Exists { path: self.path.clone() })
    }
}

/// Renames a file unless the new name is taken. Where the file system cannot do both at once, the name is looked at before.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => match to.symlink_metadata() {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

impl Drop for BackupFile {
    fn drop(&mut self) {
        if self.file.take().is_some()
            && let Err(error) = fs::remove_file(&self.partial)
        {
            tracing::warn!("cannot remove {}: {error}", self.partial.display());
        }
    }
}

/// The directory of a file.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Removes what killed processes left of backups in a directory, if it exists.
///
/// # Errors
/// When something cannot be removed.
pub fn clean_up(directory: &Path) -> Result<(), Error> {
    if directory.is_dir() { remove_partial_files(directory, "") } else { Ok(()) }
}

/// Removes what killed processes left of this file or of other backups.
fn remove_partial_files(directory: &Path, name: &str) -> Result<(), Error> {
    for entry in fs::read_dir(directory).map_err(Error::at(directory))?.flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        let final_name = found.strip_prefix('.').and_then(|found| found.split_once(PARTIAL_MARK));
        let Some((final_name, _)) = final_name else { continue };
        if final_name != name && BackupName::parse(final_name).is_none() {
            continue;
        }
        let path = entry.path();
        // One that cannot be opened is of another user, and one that is locked is being written.
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        if Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok() {
            fs::remove_file(&path).map_err(Error::at(&path))?;
        }
    }
    Ok(())
}

/// A file that is complete when it is on disk.
pub(super) struct FileSink(pub(super) BufWriter<File>);

impl Write for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for FileSink {
    fn complete(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.0.get_ref().sync_all()
    }
}
