//! Encryption of backups, in the form of age (<https://age-encryption.org>), which other programs can read as well.
//!
//! Policy: a backup is encrypted while it is written, so what is on the disk is never readable without the key. It is encrypted to the public keys of a file,
//! whose private keys need not be on this machine, or with a passphrase. A passphrase comes from a file or a terminal, never from a command line. A file with a
//! secret is refused if others could read or exchange it, by the rule of PostgreSQL for private keys: it belongs to this user and only that user may read it, or it belongs
//! to root and a group may read it. Root may use a file of any user that only its owner may read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use age::stream::StreamWriter;
use age::x25519::Recipient;
use nix::unistd::{Uid, geteuid};

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
    read_text(path, File::open(path).map_err(Error::at(path))?)
}

/// The text of a file of private keys or with a passphrase, which others must not be able to read.
pub(super) fn read_secret_file(path: &Path) -> Result<String, Error> {
    let file = File::open(path).map_err(Error::at(path))?;
    let found = file.metadata().map_err(Error::at(path))?;
    check_secret(path, found.uid(), found.mode(), geteuid())?;
    read_text(path, file)
}

/// Refuses a file with a secret that others could read, or that another user could exchange.
fn check_secret(path: &Path, owner: u32, mode: u32, user: Uid) -> Result<(), Error> {
    let is_of_root = owner == 0;
    if owner != user.as_raw() && !is_of_root && !user.is_root() {
        return Err(Error::KeyOwner { path: path.to_owned(), owner, user: user.as_raw() });
    }
    let mode = mode & 0o7777;
    let allowed = if is_of_root { 0o740 } else { 0o700 };
    if mode & 0o777 & !allowed != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode, is_of_root });
    }
    Ok(())
}

fn read_text(path: &Path, file: File) -> Result<String, Error> {
    let mut text = String::new();
    // A device or a pipe has no size.
    let size = file.take(MAX_KEY_FILE_BYTES + 1).read_to_string(&mut text).map_err(Error::at(path))?;
    if size as u64 > MAX_KEY_FILE_BYTES {
        return Err(Error::at(path)(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(text)
}

/// The passphrase in a file: its first line.
pub(super) fn read_passphrase(path: &Path) -> Result<Secret, Error> {
    let text = read_secret_file(path)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(Error::NoPassphrase { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_others_can_read_or_exchange_is_refused() {
        let check = |owner: u32, mode: u32, user: u32| {
            check_secret(Path::new("/etc/secret"), owner, 0o100_000 | mode, Uid::from_raw(user))
        };
        for (owner, mode, user) in
            [(7, 0o600, 7), (7, 0o400, 7), (0, 0o600, 0), (0, 0o640, 7), (0, 0o440, 0), (7, 0o600, 0)]
        {
            check(owner, mode, user).unwrap();
        }
        for (owner, mode, user, remedy) in [
            (7, 0o644, 7, "chmod 600 /etc/secret"),
            (7, 0o640, 7, "chmod 600 /etc/secret"),
            (7, 0o620, 0, "chmod 600 /etc/secret"),
            (0, 0o644, 0, "chmod 640 /etc/secret"),
            (0, 0o660, 7, "chmod 640 /etc/secret"),
            (8, 0o600, 7, "chown"),
        ] {
            let refused = check(owner, mode, user).unwrap_err().to_string();
            assert!(refused.contains(remedy), "{owner} {mode:o} {user}: {refused}");
        }
    }
}
