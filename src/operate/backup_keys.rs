//! The configured files of keys and passphrases.
//!
//! Policy: they are read when they are needed, so a change needs no restart, and a missing or exposed file is a failure of the backup and not of the appliance.

use std::path::{Path, PathBuf};

use super::Error;
use super::decryption::DecryptionKey;
use super::encryption::Encryption;

/// Files of keys, which may all be missing.
#[derive(Debug, Clone, Default)]
pub struct BackupKeys {
    /// Public keys to which backups are encrypted.
    pub encrypt_to: Option<PathBuf>,
    /// A passphrase with which they are encrypted instead.
    pub passphrase_file: Option<PathBuf>,
    /// Private keys.
    pub identity: Option<PathBuf>,
}

impl BackupKeys {
    /// A file of them, for a message about where a file operation hangs.
    pub(super) fn path(&self) -> &Path {
        let first = self.encrypt_to.as_ref().or(self.passphrase_file.as_ref()).or(self.identity.as_ref());
        first.map_or(Path::new("/"), PathBuf::as_path)
    }

    /// How backups are encrypted, if they are.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn encryption(&self) -> Result<Option<Encryption>, Error> {
        match (&self.encrypt_to, &self.passphrase_file) {
            (Some(path), _) => Encryption::to_recipients_of(path).map(Some),
            (None, Some(path)) => Encryption::with_passphrase_of(path).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// With what they are decrypted; an empty key if no file is named.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn decryption(&self) -> Result<DecryptionKey, Error> {
        // Backups from before a change of the configuration may need the other one.
        let identities = self.identity.as_deref().map(DecryptionKey::of_identities).transpose()?.unwrap_or_default();
        let passphrase = self.passphrase_file.as_deref().map(DecryptionKey::of_passphrase_file).transpose()?;
        Ok(identities.or(passphrase.unwrap_or_default()))
    }

    /// Whether what is encrypted by these can also be decrypted by them.
    pub fn can_decrypt(&self) -> bool {
        self.encrypt_to.is_none() || self.identity.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use age::secrecy::ExposeSecret;
    use age::x25519::Identity;

    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn a_passphrase_decrypts_beside_private_keys() {
        let directory = scratch("backup-keys");
        let (passphrase, identity) = (directory.join("passphrase"), directory.join("identity"));
        fs::write(&passphrase, "x\n").unwrap();
        fs::write(&identity, Identity::generate().to_string().expose_secret()).unwrap();
        for path in [&passphrase, &identity] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut keys = BackupKeys { encrypt_to: None, passphrase_file: Some(passphrase), identity: Some(identity) };
        assert_eq!(format!("{:?}", keys.decryption().unwrap()), "1 identities, 1 passphrase");
        keys.identity = None;
        assert_eq!(format!("{:?}", keys.decryption().unwrap()), "0 identities, 1 passphrase");
        keys.passphrase_file = None;
        assert!(keys.decryption().unwrap().is_empty());
    }
}
