//! Reads a backup that may be encrypted.
//!
//! Policy: a backup is decrypted while it is read, so its content never reaches the disk outside of a cluster. Encrypted bytes that were changed are
//! errors of the kind `InvalidData`, bytes that are missing of the kind `UnexpectedEof`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use age::stream::StreamReader;
use age::x25519::Identity;
use age::{DecryptError, Decryptor};

use super::Error;
use super::encryption::{key_lines, read_passphrase, read_secret_file};
use crate::config::Secret;

/// The first bytes of an encrypted file.
const MARK: &[u8] = b"age-encryption.org/";

/// What a backup is decrypted with.
#[derive(Clone, Default)]
pub struct DecryptionKey {
    identities: Vec<Identity>,
    passphrase: Option<Secret>,
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} identities, {} passphrase", self.identities.len(), usize::from(self.passphrase.is_some()))
    }
}

impl DecryptionKey {
    /// The private keys of a file: one `AGE-SECRET-KEY-1…` a line, as `age-keygen` writes it.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is no private key.
    pub fn of_identities(path: &Path) -> Result<Self, Error> {
        let keys: Option<Vec<Identity>> = key_lines(&read_secret_file(path)?).map(|line| line.parse().ok()).collect();
        match keys {
            Some(identities) if !identities.is_empty() => Ok(Self { identities, passphrase: None }),
            _ => Err(Error::Identities { path: path.to_owned() }),
        }
    }

    /// The passphrase in a file.
    ///
    /// # Errors
    /// When the file cannot be read, or is empty.
    pub fn of_passphrase_file(path: &Path) -> Result<Self, Error> {
        Ok(Self::of_passphrase(read_passphrase(path)?))
    }

    /// A passphrase.
    pub fn of_passphrase(passphrase: Secret) -> Self {
        Self { identities: Vec::new(), passphrase: Some(passphrase) }
    }

    /// This key and another one: what either of them opens.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.identities.extend(other.identities);
        self.passphrase = self.passphrase.or(other.passphrase);
        self
    }

    /// Its private keys only.
    pub(super) fn without_passphrase(&self) -> Self {
        Self { identities: self.identities.clone(), passphrase: None }
    }

    /// Whether there is a passphrase.
    pub fn has_passphrase(&self) -> bool {
        self.passphrase.is_some()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.passphrase.is_none()
    }
}

/// How a file is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Not at all.
    Plain,
    /// To keys.
    Keys,
    /// With a passphrase.
    Passphrase,
}

/// How a file is encrypted, by its beginning; a damaged beginning counts as that of keys.
///
/// # Errors
/// When it cannot be read.
pub fn form(file: &mut File) -> io::Result<Form> {
    let mut beginning = [0; MARK.len()];
    let mut filled = 0;
    file.rewind()?;
    while filled < beginning.len() {
        match file.read(&mut beginning[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    file.rewind()?;
    if beginning != MARK {
        return Ok(Form::Plain);
    }
    let is_scrypt = Decryptor::new(&*file).is_ok_and(|decryptor| decryptor.is_scrypt());
    file.rewind()?;
    Ok(if is_scrypt { Form::Passphrase } else { Form::Keys })
}

/// The content of a backup.
pub(super) enum Content {
    /// A file that is not encrypted.
    Plain(File),
    /// An encrypted one.
    Encrypted(Box<StreamReader<File>>),
}

impl Content {
    /// The content of a file from its beginning.
    pub(super) fn open(mut file: File, key: &DecryptionKey) -> Result<Self, Error> {
        let read = |source| Error::Read { source };
        let form = form(&mut file).map_err(read)?;
        if form == Form::Plain {
            return Ok(Self::Plain(file));
        }
        if key.is_empty() {
            return Err(Error::Encrypted { with: with(form) });
        }
        let scrypt =
            key.passphrase.as_ref().map(|secret| age::scrypt::Identity::new(secret.expose().to_owned().into()));
        let identities = key.identities.iter().map(|key| key as &dyn age::Identity);
        let all = identities.chain(scrypt.iter().map(|key| key as &dyn age::Identity));
        let reader = Decryptor::new(file).and_then(|decryptor| decryptor.decrypt(all));
        Ok(Self::Encrypted(Box::new(reader.map_err(|error| refusal(error, form))?)))
    }
}

/// What opens a file of this form, in words.
fn with(form: Form) -> &'static str {
    match form {
        Form::Passphrase => "a passphrase",
        Form::Plain | Form::Keys => "a key",
    }
}

fn refusal(error: DecryptError, form: Form) -> Error {
    let damaged = Error::Altered { what: "the beginning of its encryption", position: 0 };
    match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            Error::WrongKey { with: with(form) }
        }
        DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Error::Truncated { bytes: 0 },
        DecryptError::Io(error) if error.kind() == io::ErrorKind::InvalidData => damaged,
        DecryptError::Io(source) => Error::Read { source },
        _ => damaged,
    }
}

impl Read for Content {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(bytes),
            Self::Encrypted(stream) => stream.read(bytes),
        }
    }
}

impl Seek for Content {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Plain(file) => file.seek(position),
            Self::Encrypted(stream) => stream.seek(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufWriter;
    use std::os::unix::fs::PermissionsExt;

    use age::secrecy::ExposeSecret;

    use super::super::backup_file::FileSink;
    use super::super::encryption::Encryption;
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn what_is_encrypted_is_read_with_its_key_only() {
        let directory = scratch("encryption");
        let (own, other) = (Identity::generate(), Identity::generate());
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let recipients = file("recipients", &format!("# a comment\n\n{}\n", own.to_public()));
        let identity = file("identity", own.to_string().expose_secret());
        let another = file("another", other.to_string().expose_secret());
        let path = directory.join("encrypted");
        let target = Box::new(FileSink(BufWriter::new(File::create(&path).unwrap())));
        let mut sink = Encryption::to_recipients_of(&recipients).unwrap().sink(target).unwrap();
        let text = b"content".repeat(30_000);
        sink.write_all(&text).unwrap();
        sink.complete().unwrap();

        let open = |key: &DecryptionKey| Content::open(File::open(&path).unwrap(), key);
        let mut content = open(&DecryptionKey::of_identities(&identity).unwrap()).unwrap();
        let mut found = Vec::new();
        content.read_to_end(&mut found).unwrap();
        assert!(found == text);
        content.seek(SeekFrom::End(-7)).unwrap();
        found.clear();
        content.read_to_end(&mut found).unwrap();
        assert_eq!(found, b"content");

        let wrong = open(&DecryptionKey::of_identities(&another).unwrap());
        assert!(matches!(wrong, Err(Error::WrongKey { .. })));
        let passphrase = DecryptionKey::of_passphrase(Secret::new("x"));
        assert!(matches!(open(&passphrase), Err(Error::WrongKey { .. })));
        assert!(matches!(open(&DecryptionKey::default()), Err(Error::Encrypted { .. })));
        assert!(matches!(DecryptionKey::of_identities(&recipients), Err(Error::Identities { .. })));
        assert!(matches!(Encryption::to_recipients_of(&identity), Err(Error::Recipients { .. })));
        let empty = file("empty", "\n");
        assert!(matches!(Encryption::with_passphrase_of(&empty), Err(Error::NoPassphrase { .. })));
    }
}
