//! Reads the files that a change names: SQL, CSV, values.
//!
//! The files are read together with the changelog, because checksums are computed from them and because a plan must not read anything.
//! An unreadable file is not an error here: validation reports it, together with all other problems.

use std::io::Read as _;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use crate::encoding;
use crate::field::{Field, FieldKind};
use crate::fields::{FieldValue, Fields};
use crate::file_content::{FileContent, FileError};
use crate::load_error::LoadError;
use crate::options::Options;
use crate::path;
use crate::properties::Properties;
use crate::source::{MAX_FILE_BYTES, Source, SourceError};

/// The fields that name what the SQL of a file defines.
const DEFINED_NAMES: &[&str] = &["procedureName", "viewName"];

/// The encoding in which Liquibase reads the file of a view or procedure for the checksum.
const HASHED_ENCODING: &str = "UTF-8";

/// What reading a change depends on besides the change.
#[derive(Clone, Copy)]
pub(crate) struct LoadContext<'a> {
    pub(crate) source: &'a dyn Source,
    /// The path of the changelog file.
    pub(crate) file: &'a str,
    /// The properties at this point of the changelog.
    pub(crate) properties: &'a Properties,
    pub(crate) options: &'a Options,
}

impl LoadContext<'_> {
    /// The bytes of a file, decompressed if its name ends in `.gz`. A relative path starts at the directory of the changelog file.
    pub(crate) fn read(&self, name: &str, is_relative: bool) -> Result<Vec<u8>, FileError> {
        if path::is_in_class_path(name) {
            return Err(FileError::Source(SourceError::FullyQualified { path: name.to_owned() }));
        }
        let path = if is_relative { path::beside(self.file, name) } else { name.to_owned() };
        let bytes = self.source.read(&path).and_then(|bytes| decompress(&path, bytes.into_owned()))?;
        Ok(bytes)
    }
}

/// Decompresses a file whose name ends in `.gz`; other files are returned unchanged.
fn decompress(name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, SourceError> {
    if !name.to_ascii_lowercase().ends_with(".gz") {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    let limited = &mut MultiGzDecoder::new(bytes.as_slice()).take(MAX_FILE_BYTES + 1);
    limited.read_to_end(&mut plain).map_err(|source| SourceError::Unreadable { path: name.to_owned(), source })?;
    if plain.len() as u64 > MAX_FILE_BYTES {
        return Err(SourceError::TooLarge { path: name.to_owned() });
    }
    Ok(plain)
}

/// Reads every file that the fields of a change name, including those of its columns.
///
/// # Errors
/// When a property in a file refers to itself.
pub(crate) fn resolve_files(
    fields: &mut Fields,
    declared: &[Field],
    context: LoadContext<'_>,
) -> Result<(), LoadError> {
    let is_relative = fields.is("relativeToChangelogFile");
    let encoding = fields.filled("encoding").map(str::to_owned);
    for field in declared {
        match field.kind {
            FieldKind::File | FieldKind::BinaryFile => {
                let Some(name) = fields.filled(field.name) else { continue };
                // The file of a value is always relative to the changelog. SQL and CSV files are relative only on request.
                let bytes = context.read(name, is_relative || field.name.starts_with("value"));
                let content = bytes.and_then(|bytes| match field.kind {
                    FieldKind::BinaryFile => Ok(FileContent { bytes, ..FileContent::default() }),
                    _ => decode(bytes, encoding.as_deref()),
                });
                let content = match content {
                    Ok(mut file) if field.name == "path" => {
                        file.expanded = context.properties.expand(&file.decoded, name, 1)?;
                        // Liquibase computes the checksum of a view or procedure without regard to the encoding of its file.
                        let is_definition = declared.iter().any(|field| DEFINED_NAMES.contains(&field.name));
                        let text = is_definition.then(|| encoding::decode_stated(&file.bytes, HASHED_ENCODING));
                        match text {
                            Some(Ok(text)) => {
                                file.hashed = context.properties.expand(&text, name, 1)?;
                                Ok(file)
                            }
                            Some(Err(error)) => Err(Arc::new(error)),
                            None => Ok(file),
                        }
                    }
                    content => content.map_err(Arc::new),
                };
                fields.files.push((field.name, content));
            }
            FieldKind::Columns(column_fields) => {
                for (_, value) in fields.values.iter_mut().filter(|(name, _)| *name == field.name) {
                    let FieldValue::List(list) = value else { continue };
                    for column in list {
                        resolve_files(column, column_fields, context)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Decodes a file: in the encoding that the changelog states, or else in that of its byte order mark.
fn decode(bytes: Vec<u8>, encoding: Option<&str>) -> Result<FileContent, FileError> {
    let decoded = match encoding {
        Some(encoding) => encoding::decode_stated(&bytes, encoding)?,
        None => encoding::decode_marked(&bytes),
    };
    Ok(FileContent { bytes, decoded, ..FileContent::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_with_the_suffix_gz_are_decompressed() {
        assert_eq!(decompress("data.csv", b"id,name".to_vec()).unwrap(), b"id,name");
        let error = decompress("data.csv.GZ", b"id,name".to_vec()).unwrap_err().to_string();
        assert!(error.contains("data.csv.GZ"), "{error}");
    }

    #[test]
    fn a_file_that_decompresses_to_more_than_the_limit_is_refused() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::copy(&mut std::io::repeat(b'x').take(MAX_FILE_BYTES + 1), &mut packed).unwrap();
        let outcome = decompress("data.csv.gz", packed.finish().unwrap());
        assert!(matches!(outcome, Err(SourceError::TooLarge { .. })), "{:?}", outcome.map(|bytes| bytes.len()));
    }
}
