//! The configuration file itself: which one it is, and its text.
//!
//! Policy: a file that was named must be there; one that exists but cannot be read is an error, never a reason to
//! look further. Only regular files of bounded size are read, so nothing can hold the start.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::sources::{Flags, Surroundings};

/// No configuration is larger.
const LIMIT: u64 = 1 << 20;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file that was named does not exist.
    #[error("the configuration file {} named by {named_by} does not exist; correct the name or leave it out", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The flag or variable.
        named_by: &'static str,
    },
    /// A file that exists cannot be read.
    #[error("the configuration file {} cannot be read: {cause}; correct its permissions or its name", .path.display())]
    Access {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// A directory, a pipe or a device.
    #[error("the configuration file {} is not a regular file; name a file", .path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// Larger than any configuration.
    #[error("the configuration file {} is larger than {LIMIT} bytes; name the right file", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not UTF-8.
    #[error("the configuration file {} is not UTF-8 text from byte {offset} on; save it as UTF-8", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first byte that is not, counted from 0.
        offset: usize,
    },
}

/// The file to read: `--config`, `CONFIG_FILE`, or the first of the usual ones that exists.
///
/// # Errors
/// One that was named does not exist.
pub fn choose(flags: &Flags, surroundings: &Surroundings) -> Result<Option<PathBuf>, FileError> {
    if let Some(path) = &flags.config {
        return named(path, "--config");
    }
    if let Some(path) = surroundings.variable("CONFIG_FILE") {
        return named(Path::new(path), "CONFIG_FILE");
    }
    Ok(surroundings.default_files.iter().find(|path| !is_missing(path)).cloned())
}

fn named(path: &Path, named_by: &'static str) -> Result<Option<PathBuf>, FileError> {
    let path = path.to_owned();
    if is_missing(&path) { Err(FileError::Missing { path, named_by }) } else { Ok(Some(path)) }
}

fn is_missing(path: &Path) -> bool {
    matches!(path.metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// The text of a file, without a byte order mark.
///
/// # Errors
/// It cannot be read, or cannot be a configuration.
pub fn read(path: &Path) -> Result<String, FileError> {
    let access = |cause| FileError::Access { path: path.to_owned(), cause };
    // asked before opening: opening a pipe would wait for its writer
    if !path.metadata().map_err(access)?.is_file() {
        return Err(FileError::NotRegular { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(access)?.take(LIMIT + 1).read_to_end(&mut bytes).map_err(access)?;
    if bytes.len() as u64 > LIMIT {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| FileError::NotUtf8 { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })?;
    Ok(text.strip_prefix('\u{feff}').map(ToOwned::to_owned).unwrap_or(text))
}
