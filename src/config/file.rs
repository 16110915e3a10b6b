//! The configuration file: which one is read, and its text.
//!
//! Policy: a file that was named must exist. A file that exists but cannot be read is an error, and the search does not continue.
//! Only regular files of limited size are read, so a pipe or a device cannot block the start.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::flags::Flags;

/// The largest file that is read, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// Why the file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that was named does not exist.
    #[error("the configuration file {} named by {named_by} does not exist; correct the name or leave it out", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The flag or variable.
        named_by: &'static str,
    },
    /// A file that exists cannot be read.
    #[error("the configuration file {} cannot be read: {source}; correct its permissions or its name", .path.display())]
    Access {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A directory, a pipe or a device.
    #[error("the configuration file {} is not a regular file; name a file", .path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// Larger than any configuration.
    #[error("the configuration file {} is larger than {MAX_SIZE} bytes; name the right file", .path.display())]
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

/// The file to read: `--config`, `CONFIG_FILE`, or the first of the default files that exists.
///
/// # Errors
/// A file that was named does not exist.
pub fn find(flags: &Flags, environment: &Environment) -> Result<Option<PathBuf>, Error> {
    if let Some(path) = &flags.config {
        return require(path, "--config");
    }
    if let Some(path) = environment.variable("CONFIG_FILE") {
        return require(Path::new(path), "CONFIG_FILE");
    }
    Ok(environment.default_files.iter().find(|path| !is_missing(path)).cloned())
}

fn require(path: &Path, named_by: &'static str) -> Result<Option<PathBuf>, Error> {
    let path = path.to_owned();
    if is_missing(&path) { Err(Error::Missing { path, named_by }) } else { Ok(Some(path)) }
}

fn is_missing(path: &Path) -> bool {
    matches!(path.metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// The text of a file, without a byte order mark.
///
/// # Errors
/// It cannot be read, or cannot be a configuration.
pub fn read(path: &Path) -> Result<String, Error> {
    let access = |source| Error::Access { path: path.to_owned(), source };
    // Checked before opening, because opening a pipe waits for its writer.
    if !path.metadata().map_err(access)?.is_file() {
        return Err(Error::NotRegular { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(access)?.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(access)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| Error::NotUtf8 { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })?;
    Ok(text.strip_prefix('\u{feff}').map(ToOwned::to_owned).unwrap_or(text))
}
