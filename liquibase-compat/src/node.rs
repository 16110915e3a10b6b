//! The neutral tree that every changelog format is read into.
//!
//! A parser in `format/` knows its syntax and nothing of changelogs; everything after it knows changelogs and nothing of
//! syntax. Depth and size are bounded here, for all formats alike.

use crate::load_error::LoadError;
use crate::properties::Properties;

/// The deepest nesting a changelog may have.
pub(crate) const MAX_DEPTH: usize = 64;

/// One element: `<name attribute="value">children and text</name>` in XML terms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Scalars by name, in document order.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Node>,
    /// The element's own text, without that of its children, trimmed; none if blank.
    pub(crate) text: Option<String>,
    /// 1-based line of its start in the file.
    pub(crate) line: u32,
    /// Its syntax has no schema (YAML, JSON): names ignore case, and what is not known is left out instead of refused.
    pub(crate) lenient: bool,
}

impl Node {
    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| self.is_called(key, name)).map(|(_, value)| value.as_str())
    }

    /// Whether `written` is the name `known`, in the way of this node's syntax.
    pub(crate) fn is_called(&self, written: &str, known: &str) -> bool {
        written == known || (self.lenient && written.eq_ignore_ascii_case(known))
    }

    /// The same tree with every `${}` in attribute values and text replaced.
    ///
    /// # Errors
    /// When a property refers to itself.
    pub(crate) fn expanded(&self, properties: &Properties, file: &str) -> Result<Node, LoadError> {
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
        })
    }
}
