//! The tree into which every changelog format is parsed.
//!
//! The parsers in `format/` depend on their syntax and not on the meaning of a changelog. All other code depends on the meaning and not on
//! the syntax.

use crate::load_error::{LoadError, Location};
use crate::properties::Properties;

/// The limit of nested elements in every format.
pub(crate) const MAX_DEPTH: usize = 64;

/// One element: `<name attribute="value">children and text</name>` in XML terms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Attributes by name, in document order.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Node>,
    /// The text of the element without that of its children, trimmed; `None` if it is blank.
    pub(crate) text: Option<String>,
    /// The line of its start in the file, 1-based.
    pub(crate) line: u32,
    /// The syntax has no schema (YAML, JSON): names ignore case, and unknown names are ignored with a warning instead of refused.
    pub(crate) lenient: bool,
    /// Its schema allows attributes of any name, which are ignored with a warning.
    pub(crate) allows_any_attribute: bool,
    /// `${}` in it is not replaced: a SQL file without a header.
    pub(crate) verbatim: bool,
}

impl Node {
    /// An element with these attributes and this text.
    pub(crate) fn element(name: &str, line: u32, attributes: &[(&str, &str)], text: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            text: text.filter(|text| !text.trim().is_empty()).map(str::to_owned),
            line,
            ..Self::default()
        }
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| self.is_called(key, name)).map(|(_, value)| value.as_str())
    }

    /// Refuses unknown attributes. In a syntax without a schema they are ignored with a warning, and known ones must not be repeated.
    ///
    /// # Errors
    /// When an attribute is unknown or repeated.
    pub(crate) fn check_attributes(&self, at: &Location, known: &[&str]) -> Result<(), LoadError> {
        self.check_repeated(at, known.iter().copied())?;
        for (name, _) in
            self.attributes.iter().filter(|(name, _)| !known.iter().any(|known| self.is_called(name, known)))
        {
            if !self.lenient {
                return Err(LoadError::UnknownAttribute {
                    at: at.clone().into(),
                    name: name.clone(),
                    element: self.name.clone(),
                    known: listed(known),
                });
            }
            self.warn_of_unknown(name, at);
        }
        Ok(())
    }

    /// Refuses two spellings of one known name, such as `type` and `Type`, where names ignore case.
    ///
    /// # Errors
    /// When a name is repeated.
    pub(crate) fn check_repeated<'k>(
        &self,
        at: &Location,
        known: impl Iterator<Item = &'k str>,
    ) -> Result<(), LoadError> {
        if !self.lenient || self.attributes.len() < 2 {
            return Ok(());
        }
        for name in known {
            if self.attributes.iter().filter(|(written, _)| self.is_called(written, name)).count() > 1 {
                return Err(LoadError::Repeated {
                    at: at.clone().into(),
                    name: name.to_owned(),
                    element: self.name.clone(),
                });
            }
        }
        Ok(())
    }

    /// As [`check_attributes`](Self::check_attributes), also for the elements in it.
    ///
    /// # Errors
    /// When a name is unknown.
    pub(crate) fn check_content(&self, at: &Location, known: &[&str]) -> Result<(), LoadError> {
        self.check_attributes(at, known)?;
        for child in self.children.iter().filter(|child| !known.iter().any(|known| self.is_called(&child.name, known)))
        {
            if !self.lenient {
                return Err(LoadError::UnknownElement {
                    at: at.clone().into(),
                    name: child.name.clone(),
                    parent: self.name.clone(),
                    known: listed(known),
                });
            }
            self.warn_of_unknown(&child.name, at);
        }
        Ok(())
    }

    fn warn_of_unknown(&self, name: &str, at: &Location) {
        tracing::warn!(place = %at, element = self.name, name, "not known here; it is left out");
    }

    /// Whether `written` is the name `known`. In a lenient syntax names ignore case.
    pub(crate) fn is_called(&self, written: &str, known: &str) -> bool {
        written == known || (self.lenient && written.eq_ignore_ascii_case(known))
    }

    /// Replaces every `${}` in the attribute values and texts of the tree.
    ///
    /// # Errors
    /// When a property refers to itself.
    pub(crate) fn expand(&mut self, properties: &Properties, file: &str) -> Result<(), LoadError> {
        if self.verbatim {
            return Ok(());
        }
        let values = self.attributes.iter_mut().map(|(_, value)| value);
        for text in values.chain(&mut self.text).filter(|text| text.contains("${")) {
            *text = properties.expand(text, file, self.line)?;
        }
        self.children.iter_mut().try_for_each(|child| child.expand(properties, file))
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
