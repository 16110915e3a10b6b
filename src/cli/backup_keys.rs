//! The keys of backups on the command line.
//!
//! Policy: a key or a passphrase comes from a file, or a passphrase from the terminal; never from an argument, which other users can see. Without flags, the files
//! of the configuration are used.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;

use super::error::Error;
use crate::appliance;
use crate::config::Secret;
use crate::operate::BackupKeys;
use crate::operate::decryption::{self, DecryptionKey, Form};
use crate::operate::encryption::Encryption;

/// How a new backup is encrypted.
#[derive(Debug, Clone, Args)]
pub struct EncryptionFlags {
    /// Encrypt to the public keys of this file (age1..., one a line)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase", "passphrase_file"])]
    encrypt_to: Option<PathBuf>,
    /// Encrypt with a passphrase that is asked for
    #[arg(long, conflicts_with = "passphrase_file")]
    passphrase: bool,
    /// Encrypt with the passphrase in the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl EncryptionFlags {
    /// The encryption, if one is wanted.
    pub fn encryption(&self, configured: &BackupKeys) -> Result<Option<Encryption>, Error> {
        if self.passphrase {
            return Ok(Some(Encryption::Passphrase(new_passphrase()?)));
        }
        let keys = match (&self.encrypt_to, &self.passphrase_file) {
            (None, None) => configured.clone(),
            (encrypt_to, passphrase_file) => {
                BackupKeys { encrypt_to: encrypt_to.clone(), passphrase_file: passphrase_file.clone(), identity: None }
            }
        };
        Ok(keys.encryption().map_err(appliance::Error::from)?)
    }
}

/// With what a backup is decrypted.
#[derive(Debug, Clone, Args)]
pub struct KeyFlags {
    /// Decrypt with the private keys of this file (AGE-SECRET-KEY-1..., as age-keygen writes it)
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    identity: Option<PathBuf>,
    /// Decrypt with the passphrase in the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl KeyFlags {
    /// The key; an empty one if none is named.
    pub fn key(&self, configured: &BackupKeys) -> Result<DecryptionKey, Error> {
        let named = BackupKeys {
            encrypt_to: None,
            passphrase_file: self.passphrase_file.clone(),
            identity: self.identity.clone(),
        };
        let is_named = named.identity.is_some() || named.passphrase_file.is_some();
        let keys = if is_named { &named } else { configured };
        Ok(keys.decryption().map_err(appliance::Error::from)?)
    }

    /// The key for a list: that of the flags, or the configured private keys. A configured passphrase is not used, because it takes a second for each file.
    pub fn key_of_list(&self, configured: &BackupKeys) -> Result<DecryptionKey, Error> {
        self.key(&BackupKeys { identity: configured.identity.clone(), ..BackupKeys::default() })
    }

    /// The key of this backup, which needs none if it is not encrypted; a passphrase that no file has is asked for, if there is a terminal.
    pub fn key_of(&self, file: &mut File, configured: &BackupKeys) -> Result<DecryptionKey, Error> {
        let is_named = self.identity.is_some() || self.passphrase_file.is_some();
        // A file that cannot be read is an error when its content is.
        let form = decryption::form(file).unwrap_or(Form::Keys);
        if form == Form::Plain && !is_named {
            return Ok(DecryptionKey::default());
        }
        let key = self.key(configured)?;
        if is_named || form != Form::Passphrase || key.has_passphrase() || !io::stdin().is_terminal() {
            return Ok(key);
        }
        let passphrase = rpassword::prompt_password("Passphrase: ").map_err(Error::Passphrase)?;
        Ok(DecryptionKey::of_passphrase(Secret::new(passphrase)))
    }
}

/// A new passphrase, asked for twice.
fn new_passphrase() -> Result<Secret, Error> {
    let ask = |prompt| rpassword::prompt_password(prompt).map_err(Error::Passphrase);
    let (first, second) = (ask("Passphrase: ")?, ask("The same again: ")?);
    match first == second && !first.is_empty() {
        true => Ok(Secret::new(first)),
        false => Err(Error::PassphrasesDiffer),
    }
}
