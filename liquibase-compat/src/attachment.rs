//! Files that a change names: SQL, CSV, values.
//!
//! They are read when the changelog is, because its checksums are made of them and because a plan is to touch nothing. A file that
//! cannot be had is no error here: validation says so, together with everything else that is wrong.

use std::collections::HashMap;

use crate::error::LoadError;
use crate::field::{Field, FieldKind, Object, Value};
use crate::options::Options;
use crate::path;
use crate::properties::Properties;
use crate::source::{Source, SourceError};

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
        self.source.read(&place).map(std::borrow::Cow::into_owned).map_err(|error| match error {
            SourceError::NotFound { path, searched } => format!(
                "The file {path} was not found in the configured search path:\n    - {searched}\n\
                 More locations can be added with the 'searchPath' parameter."
            ),
            other => other.to_string(),
        })
    }
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
