//! The content of a file that a change names.

use std::collections::HashMap;
use std::sync::Arc;

use crate::source::SourceError;

/// Why a file that a change names cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file does not exist. The text is Liquibase's.
    #[error(
        "The file {path} was not found in the configured search path:\n    - {searched}\nMore locations can be added with the \
         'searchPath' parameter."
    )]
    NotFound {
        /// The path in the changelog.
        path: String,
        /// The directories that were searched, as text.
        searched: String,
    },
    /// The source cannot read the file.
    #[error(transparent)]
    Source(SourceError),
    /// The file has an unknown encoding.
    #[error("the encoding {label} is not known; use UTF-8, ISO-8859-1 or another one by its name")]
    UnknownEncoding {
        /// The encoding in the changelog.
        label: String,
    },
    /// The file begins with the byte order mark of another encoding of Unicode. The text is Liquibase's.
    #[error("Expected encoding was '{expected}' but a BOM was detected for '{found}'")]
    ByteOrderMark {
        /// The encoding in the changelog, or UTF-8.
        expected: &'static str,
        /// The encoding of the mark.
        found: &'static str,
    },
}

impl From<SourceError> for FileError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::NotFound { path, searched } => Self::NotFound { path, searched },
            other => Self::Source(other),
        }
    }
}

/// The content of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileContent {
    /// The bytes in the file. Version 8 checksums use them.
    pub(crate) bytes: Vec<u8>,
    /// The decoded text.
    pub(crate) decoded: String,
    /// The decoded text of a file of SQL after the replacement of `${}`. In data files properties are not replaced.
    pub(crate) expanded: String,
    /// The text from which the checksum of a view or procedure is computed.
    pub(crate) hashed: String,
    /// The files that the cells of a CSV file name, by the text of the cell.
    pub(crate) cell_files: HashMap<String, Result<Vec<u8>, Arc<FileError>>>,
}
