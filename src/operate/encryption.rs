//! Encryption of backups, in the form of age (<https://age-encryption.org>), which other programs can read as well.
//!
//! Policy: a backup is encrypted while it is written, so what is on the disk is never readable without the key. It is encrypted to the public keys of a file,
//! whose private keys need not be on this machine, or with a passphrase. A passphrase comes from a file or a terminal, never from a command line.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use age::stream::StreamWriter;
use age::x25519::Recipient;

use super::Error;
use super::archive_writer::Sink;
use crate::config::Secret;

/// The largest file of keys, or with a passphrase, in bytes.
const MAX_KEY_FILE_BYTES: u64 = 1 << 20;

/// Who can read a backup that is made.
#[derive(Clone)]
pub enum Encryption {
    /// The holders of these keys.
    Recipients(Vec<Recipient>),
    /// The holders of this passphrase.
    Passphrase(Secret),
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipients(keys) => write!(f, "{} recipients", keys.len()),
            Self::Passphrase(_) => f.write_str("a passphrase"),
        }
    }
}

impl Encryption {
    /// Encrypts to the public keys of a file: one `age1…` a line, among comments, which begin with `#`.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is no public key.
    pub fn to_recipients_of(path: &Path) -> Result<Self, Error> {
        let keys: Option<Vec<Recipient>> = key_lines(&read_key_file(path)?).map(|line| line.parse().ok()).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(Self::Recipients(keys)),
            _ => Err(Error::Recipients { path: path.to_owned() }),
        }
    }

    /// Encrypts with the passphrase in a file.
    ///
    /// # Errors
    /// When the file cannot be read, or is empty.
    pub fn with_passphrase_of(path: &Path) -> Result<Self, Error> {
        Ok(Self::Passphrase(read_passphrase(path)?))
    }

    /// Encrypts what is written into `target`.
    pub(super) fn sink(&self, target: Box<dyn Sink>) -> io::Result<Box<dyn Sink>> {
        let encryptor = match self {
            Self::Passphrase(passphrase) => age::Encryptor::with_user_passphrase(passphrase.expose().to_owned().into()),
            Self::Recipients(keys) => {
                // Its errors are about mixed and missing recipients, which cannot be here.
                let encryptor = age::Encryptor::with_recipients(keys.iter().map(|key| key as &dyn age::Recipient));
                encryptor.map_err(|_| io::ErrorKind::InvalidInput)?
            }
        };
        Ok(Box::new(EncryptedSink(Some(encryptor.wrap_output(target)?))))
    }
}

/// Encrypts what is written; none after its end.
struct EncryptedSink(Option<StreamWriter<Box<dyn Sink>>>);

impl Write for EncryptedSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Sink for EncryptedSink {
    fn complete(&mut self) -> io::Result<()> {
        self.0.take().ok_or(io::ErrorKind::BrokenPipe)?.finish()?.complete()
    }
}

/// Encrypts what is written into `sink`, if that is wanted.
pub(super) fn encrypted(sink: Box<dyn Sink>, encryption: Option<&Encryption>) -> Result<Box<dyn Sink>, Error> {
    match encryption {
        Some(encryption) => encryption.sink(sink).map_err(|source| Error::Write { source }),
        None => Ok(sink),
    }
}

/// The lines of a file of keys, without comments.
pub(super) fn key_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The text of a file of keys.
pub(super) fn read_key_file(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    // A device or a pipe has no size.
    let mut beginning = File::open(path).map_err(Error::at(path))?.take(MAX_KEY_FILE_BYTES + 1);
    let size = beginning.read_to_string(&mut text).map_err(Error::at(path))?;
    if size as u64 > MAX_KEY_FILE_BYTES {
        return Err(Error::at(path)(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(text)
}

/// The passphrase in a file: its first line.
pub(super) fn read_passphrase(path: &Path) -> Result<Secret, Error> {
    let text = read_key_file(path)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(Error::NoPassphrase { path: path.to_owned() }),
    }
}
