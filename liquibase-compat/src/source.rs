//! Where changelogs and the files they include come from.
//!
//! A source hands out whole files by normalised path (see `path.rs`) and nothing outside of its root: [`DirectorySource`]
//! resolves symbolic links before it decides, [`EmbeddedSource`] knows only the paths it was given. Files are bounded
//! to [`MAX_FILE_BYTES`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::path;

/// The largest file a source hands out, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such file.
    #[error("the file {path} was not found in {searched}; check the spelling, or add its directory to the search path")]
    NotFound {
        /// The path asked for.
        path: String,
        /// What was searched, for a person to read.
        searched: String,
    },
    /// The path leads out of the search path.
    #[error("the file {path} lies outside of the search path {searched}; move it there or widen the search path")]
    Outside {
        /// The path asked for.
        path: String,
        /// What was searched, for a person to read.
        searched: String,
    },
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("the file {path} is larger than {MAX_FILE_BYTES} bytes; split it")]
    TooLarge {
        /// The path asked for.
        path: String,
    },
    /// The operating system refused.
    #[error("the file {path} cannot be read: {source}; check its permissions")]
    Unreadable {
        /// The path asked for.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A set of files, named by `/`-separated paths relative to its root.
pub trait Source: Send + Sync {
    /// The bytes of one file.
    ///
    /// # Errors
    /// When it is missing, outside of the root, too large or unreadable.
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, SourceError>;

    /// The paths of all files below `directory`, at any depth, in any order.
    ///
    /// # Errors
    /// When the directory is missing, outside of the root or unreadable.
    fn list(&self, directory: &str) -> Result<Vec<String>, SourceError>;
}

/// The files below one directory on disk.
#[derive(Debug)]
pub struct DirectorySource {
    root: PathBuf,
}

impl DirectorySource {
    /// A source of the files below `root`.
    ///
    /// # Errors
    /// When `root` does not exist or cannot be entered.
    pub fn new(root: impl AsRef<Path>) -> Result<Self, SourceError> {
        let root = root.as_ref();
        let canonical = root
            .canonicalize()
            .map_err(|source| SourceError::Unreadable { path: root.display().to_string(), source })?;
        Ok(Self { root: canonical })
    }

    /// The place of `path` on disk, links resolved, if that is below the root.
    fn resolve(&self, path: &str) -> Result<PathBuf, SourceError> {
        let searched = self.root.display().to_string();
        let wanted = self.root.join(path::normalise(path));
        let found = wanted.canonicalize().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => SourceError::NotFound { path: path.to_owned(), searched: searched.clone() },
            _ => SourceError::Unreadable { path: path.to_owned(), source },
        })?;
        if found.starts_with(&self.root) {
            Ok(found)
        } else {
            Err(SourceError::Outside { path: path.to_owned(), searched })
        }
    }
}

impl Source for DirectorySource {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, SourceError> {
        let place = self.resolve(path)?;
        let unreadable = |source| SourceError::Unreadable { path: path.to_owned(), source };
        let file = std::fs::File::open(place).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(SourceError::TooLarge { path: path.to_owned() });
        }
        Ok(Cow::Owned(bytes))
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, SourceError> {
        let mut found = Vec::new();
        let mut open = vec![path::normalise(directory)];
        while let Some(directory) = open.pop() {
            let unreadable = |source| SourceError::Unreadable { path: directory.clone(), source };
            for entry in std::fs::read_dir(self.resolve(&directory)?).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let name = path::normalise(&format!("{directory}/{}", entry.file_name().to_string_lossy()));
                // A link to a directory is not followed: it could lead round in a circle.
                if entry.file_type().map_err(unreadable)?.is_dir() {
                    open.push(name);
                } else {
                    found.push(name);
                }
            }
        }
        Ok(found)
    }
}

type Read1 = Box<dyn Fn(&str) -> Option<Cow<'static, [u8]>> + Send + Sync>;

/// Files compiled into the program or otherwise held in memory.
pub struct EmbeddedSource {
    prefix: String,
    paths: BTreeSet<String>,
    read: Read1,
}

impl EmbeddedSource {
    /// A source that serves each of `names` under `prefix` + name and gets its bytes from `read(name)`.
    ///
    /// The prefix is part of what a history stores as the file name, so it must stay what it was.
    pub fn new<N, R>(prefix: &str, names: N, read: R) -> Self
    where
        N: IntoIterator,
        N::Item: Into<String>,
        R: Fn(&str) -> Option<Cow<'static, [u8]>> + Send + Sync + 'static,
    {
        let paths = names.into_iter().map(|name| format!("{prefix}{}", name.into())).collect();
        Self { prefix: prefix.to_owned(), paths, read: Box::new(read) }
    }

    /// A source of a few files given as (path, text).
    pub fn of_texts(files: &[(&str, &str)]) -> Self {
        let files: std::collections::BTreeMap<String, String> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let names: Vec<String> = files.keys().cloned().collect();
        Self::new("", names, move |name| files.get(name).map(|text| Cow::Owned(text.clone().into_bytes())))
    }
}

impl fmt::Debug for EmbeddedSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("EmbeddedSource").field("prefix", &self.prefix).field("paths", &self.paths).finish()
    }
}

impl Source for EmbeddedSource {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, SourceError> {
        let wanted = path::normalise(path);
        let bytes = if self.paths.contains(&wanted) { (self.read)(&wanted[self.prefix.len()..]) } else { None };
        bytes.ok_or_else(|| SourceError::NotFound { path: path.to_owned(), searched: "the embedded files".to_owned() })
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, SourceError> {
        let directory_path = path::normalise(directory);
        let below = if directory_path.is_empty() { String::new() } else { format!("{directory_path}/") };
        let found: Vec<String> = self.paths.iter().filter(|path| path.starts_with(&below)).cloned().collect();
        if found.is_empty() {
            return Err(SourceError::NotFound {
                path: directory.to_owned(),
                searched: "the embedded files".to_owned(),
            });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_source_does_not_leave_its_root() {
        let base = std::env::temp_dir().join(format!("liquibase-compat-source-{}", std::process::id()));
        let root = base.join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(base.join("secret"), "no").unwrap();
        std::fs::write(root.join("sub/a.xml"), "yes").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        let source = DirectorySource::new(&root).unwrap();
        assert_eq!(&*source.read("sub/a.xml").unwrap(), b"yes");
        assert!(matches!(source.read("../secret"), Err(SourceError::Outside { .. })));
        assert!(matches!(source.read("link"), Err(SourceError::Outside { .. })));
        assert!(matches!(source.read("gone"), Err(SourceError::NotFound { .. })));
        assert_eq!(source.list("sub").unwrap(), ["sub/a.xml"]);
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn an_embedded_source_serves_under_its_prefix() {
        let source = EmbeddedSource::new("migration/", ["a.xml"], |name| {
            (name == "a.xml").then_some(Cow::Borrowed(b"x".as_slice()))
        });
        assert_eq!(&*source.read("migration/a.xml").unwrap(), b"x");
        assert!(source.read("a.xml").is_err());
        assert_eq!(source.list("migration").unwrap(), ["migration/a.xml"]);
        assert_eq!(source.list(".").unwrap(), ["migration/a.xml"]);
    }
}
