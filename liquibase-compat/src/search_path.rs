//! Several directories as one source: a file is looked for in each of them, in order.

use std::borrow::Cow;
use std::path::Path;

use crate::source::{DirectorySource, Source, SourceError};

/// The files below several directories.
#[derive(Debug)]
pub struct SearchPath {
    directories: Vec<DirectorySource>,
}

impl SearchPath {
    /// A source of the files below all of `directories`; the first that has a file gives it.
    ///
    /// # Errors
    /// When one of them does not exist or cannot be entered.
    pub fn new<P: AsRef<Path>>(directories: impl IntoIterator<Item = P>) -> Result<Self, SourceError> {
        let directories = directories.into_iter().map(DirectorySource::new).collect::<Result<_, _>>()?;
        Ok(Self { directories })
    }

    /// The first answer that is not "there is no such file".
    fn first<T>(&self, path: &str, ask: impl Fn(&DirectorySource) -> Result<T, SourceError>) -> Result<T, SourceError> {
        let mut missing = SourceError::NotFound { path: path.to_owned(), searched: "an empty search path".to_owned() };
        for directory in &self.directories {
            match ask(directory) {
                Err(error @ SourceError::NotFound { .. }) => missing = error,
                answer => return answer,
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
