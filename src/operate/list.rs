//! The backups of a directory.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::decryption::{self, Content, DecryptionKey, Form};
use super::manifest::Trigger;
use super::{Error, archive_reader, directory};

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
    Ok(directory::backups(directory)?
        .into_iter()
        .map(|(name, path)| {
            let bytes = path.metadata().map_or(0, |found| found.len());
            let opened = File::open(&path).and_then(|mut file| Ok((decryption::form(&mut file)?, file)));
            let is_encrypted = opened.as_ref().is_ok_and(|(form, _)| *form != Form::Plain);
            let manifest = opened
                .map_err(|source| Error::Read { source })
                .and_then(|(_, file)| archive_reader::read_manifest(&mut Content::open(file, key)?));
            let (manifest, problem) = match manifest {
                Ok(manifest) => (Some(manifest), None),
                Err(Error::Encrypted { .. }) => (None, None),
                Err(error) => (None, Some(error.to_string())),
            };
            ListedBackup {
                file: path,
                created: name.time.to_string(),
                bytes,
                label: name.label,
                trigger: manifest.as_ref().map(|manifest| manifest.trigger),
                appliance: manifest.as_ref().map(|manifest| manifest.appliance.clone()),
                records: manifest.as_ref().map(|manifest| manifest.records()),
                encrypted: is_encrypted,
                problem,
            }
        })
        .collect())
}
