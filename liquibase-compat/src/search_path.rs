//! Several directories as one source.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use crate::source::{DirectorySource, Source, SourceError};

/// What happens if several directories of a search path contain a file (`--duplicate-file-mode`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DuplicateFiles {
    /// The file is refused, as Liquibase does by default.
    #[default]
    Refuse,
    /// The first directory wins, with a warning.
    TakeFirst,
}

/// The files below several directories.
#[derive(Debug)]
pub struct SearchPath {
    directories: Vec<DirectorySource>,
    duplicates: DuplicateFiles,
}

impl SearchPath {
    /// Creates a source of the files below all `directories`.
    ///
    /// # Errors
    /// When one of them does not exist or cannot be entered.
    pub fn new<P: AsRef<Path>>(
        directories: impl IntoIterator<Item = P>,
        duplicates: DuplicateFiles,
    ) -> Result<Self, SourceError> {
        let mut all: Vec<DirectorySource> = Vec::new();
        for directory in directories {
            let directory = DirectorySource::new(directory)?;
            if all.iter().all(|other| other.root() != directory.root()) {
                all.push(directory);
            }
        }
        Ok(Self { directories: all, duplicates })
    }

    fn missing(&self, path: &str) -> SourceError {
        let roots: Vec<String> = self.directories.iter().map(|one| one.root().display().to_string()).collect();
        SourceError::NotFound { path: path.to_owned(), searched: roots.join(", ") }
    }
}

impl Source for SearchPath {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, SourceError> {
        let mut holders: Vec<&DirectorySource> = Vec::new();
        let mut files = BTreeSet::new();
        for directory in &self.directories {
            match directory.resolve(path) {
                // One directory may be below another, or a link to it.
                Ok(file) if files.insert(file.clone()) => holders.push(directory),
                Ok(_) => {}
                Err(SourceError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(first) = holders.first() else { return Err(self.missing(path)) };
        if holders.len() > 1 {
            let found: Vec<String> = holders.iter().map(|one| one.root().display().to_string()).collect();
            let error = SourceError::Ambiguous { path: path.to_owned(), found: found.join(", ") };
            match self.duplicates {
                DuplicateFiles::Refuse => return Err(error),
                DuplicateFiles::TakeFirst => tracing::warn!(%error, "the first is taken"),
            }
        }
        first.read(path)
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, SourceError> {
        let mut files = BTreeSet::new();
        let mut is_found = false;
        for source in &self.directories {
            match source.list(directory) {
                Ok(found) => {
                    is_found = true;
                    files.extend(found);
                }
                Err(SourceError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if is_found { Ok(files.into_iter().collect()) } else { Err(self.missing(directory)) }
    }
}
