//! The backups of a directory.
//!
//! Policy: a list is fast whatever there is. What it shows of each file is in the name and at its end; a key opens the end of an encrypted one at once, but a passphrase
//! takes about a second of computation for each file, so it opens the newest ones only. Other files than ordinary ones are not opened.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::decryption::{self, Content, DecryptionKey, Form};
use super::manifest::{Manifest, Trigger};
use super::ownership::Owner;
use super::{Error, archive_reader, directory, loader};

/// How many files a passphrase opens.
const MAX_BY_PASSPHRASE: usize = 5;

/// A backup of the list. Only its description was read; `verify` reads the rest.
#[derive(Debug, Serialize)]
pub struct ListedBackup {
    /// The file.
    pub file: PathBuf,
    /// When it was begun (RFC 3339).
    pub created: String,
    /// Its size.
    pub bytes: u64,
    /// Its label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The version of the appliance that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appliance: Option<String>,
    /// The number of attendance records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Whether it is encrypted.
    #[serde(skip_serializing_if = "is_false")]
    pub encrypted: bool,
    /// Why its description cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The backups of a directory, the oldest first; of encrypted ones, what the key opens; none if there is no such directory.
///
/// # Errors
/// When the directory cannot be read.
pub fn list(directory: &Path, key: &DecryptionKey) -> Result<Vec<ListedBackup>, Error> {
    let mut opened = 0;
    let newest_first = directory::backups(directory)?.into_iter().rev().map(|(name, path)| {
        let (form, manifest) = describe(&path, key, &mut opened);
        let (manifest, problem) = match manifest {
            Ok(manifest) => (Some(manifest), None),
            Err(Error::Encrypted { .. }) => (None, None),
            Err(error) => (None, Some(error.to_string())),
        };
        ListedBackup {
            created: name.time.to_string(),
            bytes: path.metadata().map_or(0, |found| found.len()),
            file: path,
            label: name.label,
            trigger: manifest.as_ref().map(|manifest| manifest.trigger),
            appliance: manifest.as_ref().map(|manifest| manifest.appliance.clone()),
            records: manifest.as_ref().map(|manifest| manifest.records()),
            encrypted: form.unwrap_or(Form::Plain) != Form::Plain,
            problem,
        }
    });
    let mut found: Vec<ListedBackup> = newest_first.collect();
    found.reverse();
    Ok(found)
}

/// How a file is encrypted, and its description. `opened` is how many were opened by a passphrase.
fn describe(path: &Path, key: &DecryptionKey, opened: &mut usize) -> (Option<Form>, Result<Manifest, Error>) {
    let mut file = match loader::open(path) {
        Ok(file) => file,
        // The list names the file.
        Err(Error::Backup { source, .. }) => return (None, Err(*source)),
        Err(error) => return (None, Err(error)),
    };
    let form = match decryption::form(&mut file) {
        Ok(form) => form,
        Err(source) => return (None, Err(Error::Read { source })),
    };
    let without_passphrase = key.without_passphrase();
    let key = match form {
        Form::Passphrase if *opened >= MAX_BY_PASSPHRASE => &without_passphrase,
        Form::Passphrase => {
            *opened += usize::from(key.has_passphrase());
            key
        }
        Form::Keys => &without_passphrase,
        Form::Plain => key,
    };
    // A key that opens keys only cannot open it, which is not an error of the file.
    if form == Form::Passphrase && !key.has_passphrase() {
        return (Some(form), Err(Error::Encrypted { with: "a passphrase" }));
    }
    let manifest = Content::open(file, key).and_then(|mut content| archive_reader::read_manifest(&mut content));
    (Some(form), manifest)
}

/// A backup as its name describes it.
#[derive(Debug)]
pub struct NamedBackup {
    /// When it was begun.
    pub created: Timestamp,
    /// Its label.
    pub label: Option<String>,
    /// The file.
    pub file: PathBuf,
}

/// The newest backup that an owner has made.
///
/// # Errors
/// When the directory cannot be read.
pub fn newest_own(directory: &Path, owner: &Owner) -> Result<Option<NamedBackup>, Error> {
    let newest = directory::backups(directory)?.into_iter().rev().find(|(_, path)| owner.has_backup(path));
    Ok(newest.map(|(name, file)| NamedBackup { created: name.time, label: name.label, file }))
}
