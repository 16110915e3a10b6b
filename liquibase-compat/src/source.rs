//! Sources of changelog files.
//!
//! A source reads whole files by normalised path (see `path.rs`) and never leaves its root: [`DirectorySource`] resolves symbolic links
//! before it checks the path, and [`EmbeddedSource`] has a fixed set of paths. Files are limited to [`MAX_FILE_BYTES`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::path;

/// The size limit of a file, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Why a source cannot read a file or list a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such file. The text is Liquibase's.
    #[error(
        "The file {path} was not found in the configured search path:\n    - {searched}\nMore locations can be added with the \
         'searchPath' parameter."
    )]
    NotFound {
        /// The requested path.
        path: String,
        /// The searched directories, as text.
        searched: String,
    },
    /// The path names the Java class path. The text is Liquibase's.
    #[error(
        "ERROR: The file '{path}' was not found.\nThe file property cannot be configured with a fully qualified path, but must be a \
         relative path on the property,\nand any local or remote base of the path set on the search path."
    )]
    FullyQualified {
        /// The requested path.
        path: String,
    },
    /// Several directories of the search path have the file.
    #[error(
        "several directories of the search path have the file {path}: {found}; remove all but one, or set the duplicate file mode to WARN"
    )]
    Ambiguous {
        /// The requested path.
        path: String,
        /// The directories, as text.
        found: String,
    },
    /// The path leads out of the search path.
    #[error("the file {path} lies outside of the search path {searched}; move it there or widen the search path")]
    Outside {
        /// The requested path.
        path: String,
        /// The searched directories, as text.
        searched: String,
    },
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("the file {path} is larger than {MAX_FILE_BYTES} bytes; split it")]
    TooLarge {
        /// The requested path.
        path: String,
    },
    /// The operating system cannot read the file.
    #[error("the file {path} cannot be read: {source}; check its permissions")]
    Unreadable {
        /// The requested path.
        path: String,
        /// The operating system's error.
        source: std::io::Error,
    },
}

/// A set of files, named by `/`-separated paths relative to its root.
pub trait Source: Send + Sync {
    /// Reads one file.
    ///
    /// # Errors
    /// When it is missing, outside of the root, too large or unreadable.
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, SourceError>;

    /// Lists the paths of all files below `directory`, at any depth, in any order.
    ///
    /// # Errors
    /// When the directory is missing, outside of the root or unreadable.
    fn list(&self, directory: &str) -> Result<Vec<String>, SourceError>;
}

/// Reads a file by the path that a changelog has for it.
pub(crate) fn read_named<'a>(source: &'a dyn Source, path: &str) -> Result<Cow<'a, [u8]>, SourceError> {
    if path::is_in_class_path(path) {
        return Err(SourceError::FullyQualified { path: path.to_owned() });
    }
    source.read(path)
}

/// The files below one directory on disk.
#[derive(Debug)]
pub struct DirectorySource {
    root: PathBuf,
}

impl DirectorySource {
    /// Creates a source of the files below `root`.
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

    /// The directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The canonical path on disk, which must be below the root.
    pub(crate) fn resolve(&self, path: &str) -> Result<PathBuf, SourceError> {
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
        let resolved = self.resolve(path)?;
        let unreadable = |source| SourceError::Unreadable { path: path.to_owned(), source };
        let file = std::fs::File::open(resolved).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(SourceError::TooLarge { path: path.to_owned() });
        }
        Ok(Cow::Owned(bytes))
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, SourceError> {
        let mut found = Vec::new();
        let mut pending = vec![path::normalise(directory)];
        while let Some(directory) = pending.pop() {
            let unreadable = |source| SourceError::Unreadable { path: directory.clone(), source };
            for entry in std::fs::read_dir(self.resolve(&directory)?).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let name = path::normalise(&format!("{directory}/{}", entry.file_name().to_string_lossy()));
                // A link to a directory is not followed, because it could form a cycle.
                if entry.file_type().map_err(unreadable)?.is_dir() {
                    pending.push(name);
                } else {
                    found.push(name);
                }
            }
        }
        Ok(found)
    }
}

type ReadFn = Box<dyn Fn(&str) -> Option<Cow<'static, [u8]>> + Send + Sync>;

/// Files that are compiled into the program or in memory.
pub struct EmbeddedSource {
    prefix: String,
    paths: BTreeSet<String>,
    read: ReadFn,
}

impl EmbeddedSource {
    /// Creates a source with a file `prefix` + name for each of `names`, whose bytes are `read(name)`.
    ///
    /// The history stores the path with the prefix, so the prefix must not change between releases.
    ///
    /// ```
    /// use std::borrow::Cow;
    ///
    /// use liquibase_compat::{EmbeddedSource, Source};
    ///
    /// let source = EmbeddedSource::new("db/", ["log.sql"], |name| {
    ///     (name == "log.sql").then_some(Cow::Borrowed(b"select 1".as_slice()))
    /// });
    /// assert_eq!(&*source.read("db/log.sql")?, b"select 1");
    /// # Ok::<(), liquibase_compat::SourceError>(())
    /// ```
    pub fn new<N, R>(prefix: &str, names: N, read: R) -> Self
    where
        N: IntoIterator,
        N::Item: Into<String>,
        R: Fn(&str) -> Option<Cow<'static, [u8]>> + Send + Sync + 'static,
    {
        let paths = names.into_iter().map(|name| format!("{prefix}{}", name.into())).collect();
        Self { prefix: prefix.to_owned(), paths, read: Box::new(read) }
    }

    /// Creates a source of files given as (path, text).
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
    fn a_directory_source_never_leaves_its_root() {
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
    fn an_embedded_source_adds_its_prefix() {
        let source = EmbeddedSource::new("migration/", ["a.xml"], |name| {
            (name == "a.xml").then_some(Cow::Borrowed(b"x".as_slice()))
        });
        assert_eq!(&*source.read("migration/a.xml").unwrap(), b"x");
        assert!(source.read("a.xml").is_err());
        assert_eq!(source.list("migration").unwrap(), ["migration/a.xml"]);
        assert_eq!(source.list(".").unwrap(), ["migration/a.xml"]);
    }
}
