//! Several directories as one source. They are searched in order.

use std::borrow::Cow;
use std::path::Path;

use crate::source::{DirectorySource, Source, SourceError};

/// The files below several directories.
#[derive(Debug)]
pub struct SearchPath {
    directories: Vec<DirectorySource>,
}

impl SearchPath {
    /// Creates a source of the files below all `directories`. The first directory that contains a file wins.
    ///
    /// # Errors
    /// When one of them does not exist or cannot be entered.
    pub fn new<P: AsRef<Path>>(directories: impl IntoIterator<Item = P>) -> Result<Self, SourceError> {
        let directories = directories.into_iter().map(DirectorySource::new).collect::<Result<_, _>>()?;
        Ok(Self { directories })
    }

    /// Calls `ask` for each directory, until the result is not [`SourceError::NotFound`].
    fn first<T>(&self, path: &str, ask: impl Fn(&DirectorySource) -> Result<T, SourceError>) -> Result<T, SourceError> {
        let mut missing = SourceError::NotFound { path: path.to_owned(), searched: "an empty search path".to_owned() };
        for directory in &self.directories {
            match ask(directory) {
                Err(error @ SourceError::NotFound { .. }) => missing = error,
                result => return result,
            }
        }
        Err(missing)
    }
}

impl Source for SearchPath {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, SourceError> {
        let found = self.first(path, |directory| directory.read(path).map(Cow::into_owned))?;
        Ok(Cow::Owned(found))
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, SourceError> {
        self.first(directory, |source| source.list(directory))
    }
}
