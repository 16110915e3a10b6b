//! The tree into which every changelog format is parsed.
//!
//! The parsers in `format/` depend on their syntax and not on the meaning of a changelog. All other code depends on the meaning and not on
//! the syntax.

use crate::load_error::LoadError;
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

    /// Whether `written` is the name `known`. In a lenient syntax names ignore case.
    pub(crate) fn is_called(&self, written: &str, known: &str) -> bool {
        written == known || (self.lenient && written.eq_ignore_ascii_case(known))
    }

    /// Replaces every `${}` in the attribute values and texts of the tree.
    ///
    /// # Errors
    /// When a property refers to itself.
    pub(crate) fn expanded(&self, properties: &Properties, file: &str) -> Result<Node, LoadError> {
        if self.verbatim {
            return Ok(self.clone());
        }
        let expand = |text: &str| properties.expand(text, file, self.line);
        Ok(Node {
            name: self.name.clone(),
            attributes: self
                .attributes
                .iter()
                .map(|(name, value)| Ok((name.clone(), expand(value)?)))
                .collect::<Result<_, LoadError>>()?,
            children: self.children.iter().map(|child| child.expanded(properties, file)).collect::<Result<_, _>>()?,
            text: self.text.as_deref().map(expand).transpose()?,
            line: self.line,
            lenient: self.lenient,
            verbatim: false,
        })
    }
}
