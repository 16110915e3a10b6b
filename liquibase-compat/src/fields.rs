//! The values of an element's fields.
//!
//! SQL, checksum and description are all computed from these values. They keep the text of the changelog, because checksums are
//! computed from it.

use std::sync::Arc;

use crate::file_content::{FileContent, FileError};

/// The value of a field.
#[derive(Debug, Clone)]
pub(crate) enum FieldValue {
    /// Text as written.
    Text(String),
    /// A boolean.
    Flag(bool),
    /// Elements, in document order.
    List(Vec<Fields>),
    /// One child element.
    Nested(Fields),
}

/// The fields that an element has, in document order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    pub(crate) values: Vec<(&'static str, FieldValue)>,
    /// The content of the files that fields name, by field. An unreadable file keeps its error, which validation reports.
    pub(crate) files: Vec<(&'static str, Result<FileContent, Arc<FileError>>)>,
}

impl Fields {
    pub(crate) fn get(&self, name: &str) -> Option<&FieldValue> {
        self.values.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Sets the value of a field, and replaces an earlier one.
    pub(crate) fn set(&mut self, name: &'static str, value: FieldValue) {
        self.values.retain(|(key, _)| *key != name);
        self.values.push((name, value));
    }

    /// Adds an element to a list, and creates the list for its first element.
    pub(crate) fn push(&mut self, name: &'static str, item: Self) {
        match self.values.iter_mut().find(|(key, _)| *key == name) {
            Some((_, FieldValue::List(list))) => list.push(item),
            _ => self.values.push((name, FieldValue::List(vec![item]))),
        }
    }

    /// A text field, as written.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(FieldValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A text field that is not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// A text field that validation requires. It is empty where validation was not run, for example for checksums.
    pub(crate) fn required(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// A boolean field.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name) {
            Some(FieldValue::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    /// A boolean field with a default.
    pub(crate) fn flag_or(&self, name: &str, default: bool) -> bool {
        self.flag(name).unwrap_or(default)
    }

    /// Whether a boolean field is present and true.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }

    /// The columns.
    pub(crate) fn columns(&self) -> &[Self] {
        self.list("columns")
    }

    /// The elements of a list; an absent list is empty.
    pub(crate) fn list(&self, name: &str) -> &[Self] {
        match self.get(name) {
            Some(FieldValue::List(list)) => list,
            _ => &[],
        }
    }

    /// The content of the file that a field names; `None` if the field is absent.
    pub(crate) fn file(&self, name: &str) -> Option<Result<&FileContent, &Arc<FileError>>> {
        self.files.iter().find(|(key, _)| *key == name).map(|(_, file)| file.as_ref())
    }

    /// A nested element.
    pub(crate) fn nested(&self, name: &str) -> Option<&Self> {
        match self.get(name) {
            Some(FieldValue::Nested(fields)) => Some(fields),
            _ => None,
        }
    }
}
