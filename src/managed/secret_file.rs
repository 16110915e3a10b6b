//! Files with generated passwords.
//!
//! Policy: only this user can read them, and they are written atomically and durably: a crash leaves the old file or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// In the name of a directory or file that is not complete.
pub const PARTIAL_MARK: &str = "-partial-";

/// A new password: 64 hexadecimal digits.
///
/// # Errors
/// When the system has no random numbers.
pub fn random() -> io::Result<String> {
    let mut random = [0_u8; 32];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes the file. The partial one has [`PARTIAL_MARK`] in its name.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!("{name}{PARTIAL_MARK}{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    sync_parent(path)
}

/// Makes a rename durable.
///
/// # Errors
/// When the directory cannot be synced.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
