//! Files that a change names: SQL, CSV, values.
//!
//! They are read when the changelog is, because its checksums are made of them and because a plan is to touch nothing. A file that
//! cannot be had is no error here: validation says so, together with everything else that is wrong.

use std::collections::HashMap;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use crate::field::{Field, FieldKind, Object, Value};
use crate::load_error::LoadError;
use crate::options::Options;
use crate::path;
use crate::properties::Properties;
use crate::source::{MAX_FILE_BYTES, Source, SourceError};

/// The content of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// As it is.
    pub(crate) bytes: Vec<u8>,
    /// Decoded.
    pub(crate) plain: String,
    /// Decoded, every `${}` replaced; of a body only, data are not touched.
    pub(crate) text: String,
    /// Further files, by the names under which this one speaks of them: the cells of a CSV file may be files.
    pub(crate) named: HashMap<String, Result<Vec<u8>, String>>,
}

/// What surrounds a change that names files.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// Where files come from.
    pub(crate) source: &'a dyn Source,
    /// The path of the changelog file.
    pub(crate) file: &'a str,
    /// The properties that hold there.
    pub(crate) properties: &'a Properties,
    /// What the run is for.
    pub(crate) options: &'a Options,
}

impl Surroundings<'_> {
    /// The bytes of a file that is named here.
    ///
    /// # Errors
    /// Liquibase's message if it is not there, else what is the matter with it.
    pub(crate) fn read(&self, name: &str, beside: bool) -> Result<Vec<u8>, String> {
        let place = if beside { path::beside(self.file, name) } else { name.to_owned() };
        let read = self.source.read(&place).and_then(|bytes| unpacked(&place, bytes.into_owned()));
        read.map_err(|error| match error {
            SourceError::NotFound { path, searched } => format!(
                "The file {path} was not found in the configured search path:\n    - {searched}\n\
                 More locations can be added with the 'searchPath' parameter."
            ),
            other => other.to_string(),
        })
    }
}

/// What is in a file: that of a name in `.gz` is packed.
fn unpacked(name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, SourceError> {
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

/// Reads every file that `object` names, also those of its columns.
///
/// # Errors
/// When a property in a file refers to itself.
pub(crate) fn attach(object: &mut Object, fields: &[Field], around: Surroundings<'_>) -> Result<(), LoadError> {
    let beside = object.is("relativeToChangelogFile");
    let encoding = object.filled("encoding").map(str::to_owned);
    for field in fields {
        match field.kind {
            FieldKind::File => {
                let Some(name) = object.filled(field.name) else { continue };
                // A value's file is looked for beside the changelog, a body's or table's where it says.
                let read = around
                    .read(name, beside || field.name.starts_with("value"))
                    .and_then(|bytes| decoded(bytes, encoding.as_deref()));
                let read = match read {
                    Ok(mut file) if field.name == "path" => {
                        file.text = around.properties.expand(&file.plain, name, 1)?;
                        Ok(file)
                    }
                    read => read,
                };
                object.attached.push((field.name, read));
            }
            FieldKind::Columns(columns) => {
                for (_, value) in object.fields.iter_mut().filter(|(name, _)| *name == field.name) {
                    let Value::List(list) = value else { continue };
                    for column in list {
                        attach(column, columns, around)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn decoded(bytes: Vec<u8>, encoding: Option<&str>) -> Result<Attachment, String> {
    let label = encoding.unwrap_or("UTF-8");
    // Java's names of the encodings are labels of the standard, but for this one.
    let label = if label.eq_ignore_ascii_case("utf16") { "UTF-16" } else { label };
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).ok_or_else(|| {
        format!("the encoding {label} is not known; use UTF-8, ISO-8859-1 or another one by its name")
    })?;
    // A byte order mark is dropped, and counts more than what is said.
    let plain = encoding.decode(&bytes).0.into_owned();
    Ok(Attachment { bytes, plain, ..Attachment::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_called_gz_is_unpacked() {
        assert_eq!(unpacked("data.csv", b"id,name".to_vec()).unwrap(), b"id,name");
        let error = unpacked("data.csv.GZ", b"id,name".to_vec()).unwrap_err().to_string();
        assert!(error.contains("data.csv.GZ"), "{error}");
    }

    #[test]
    fn what_unpacks_to_more_than_a_file_may_have_is_refused() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::copy(&mut std::io::repeat(b'x').take(MAX_FILE_BYTES + 1), &mut packed).unwrap();
        let outcome = unpacked("data.csv.gz", packed.finish().unwrap());
        assert!(matches!(outcome, Err(SourceError::TooLarge { .. })), "{:?}", outcome.map(|bytes| bytes.len()));
    }
}
