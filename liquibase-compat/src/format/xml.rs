//! XML changelogs.
//!
//! Names are taken without their namespace, attributes of another namespace (`xsi:schemaLocation`) are left out. A document
//! type is refused, and with it every entity but the five predefined ones. What Liquibase's schema asks for is in `schema.rs`; what a
//! changelog may hold is said where it is read, so that all syntaxes are checked alike.

use roxmltree::{Document, Error, Node as Element, ParsingOptions};

use super::schema;
use crate::load_error::LoadError;
use crate::node::{MAX_DEPTH, Node};

/// The most elements and texts in one file.
const MAX_NODES: u32 = 1_000_000;

/// Reads one XML file into a tree.
///
/// # Errors
/// When it is not well-formed, has a document type, or is nested deeper than [`MAX_DEPTH`].
pub(super) fn parse(file: &str, text: &str) -> Result<Node, LoadError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| syntax(file, &error))?;
    let reader = Reader { file, line_ends: text.match_indices('\n').map(|(offset, _)| offset).collect() };
    let root = reader.convert(document.root_element(), 1)?;
    schema::check(file, &root)?;
    Ok(root)
}

struct Reader<'a> {
    file: &'a str,
    /// Byte offsets of the newlines: a position is looked up for every element, so it must not scan the file.
    line_ends: Vec<usize>,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> u32 {
        let before = self.line_ends.partition_point(|end| *end < offset);
        u32::try_from(before).map_or(u32::MAX, |before| before.saturating_add(1))
    }

    fn convert(&self, element: Element<'_, '_>, depth: usize) -> Result<Node, LoadError> {
        let line = self.line(element.range().start);
        if depth > MAX_DEPTH {
            return Err(LoadError::TooDeep { file: self.file.to_owned(), line, limit: MAX_DEPTH });
        }
        let mut node = Node { name: element.tag_name().name().to_owned(), line, ..Node::default() };
        for attribute in element.attributes().filter(|attribute| attribute.namespace().is_none()) {
            node.attributes.push((attribute.name().to_owned(), attribute.value().to_owned()));
        }
        let mut text = String::new();
        for child in element.children() {
            if child.is_element() {
                node.children.push(self.convert(child, depth + 1)?);
            } else if child.is_text() {
                text.push_str(child.text().unwrap_or_default());
            }
        }
        let trimmed = text.trim_matches(|c: char| c <= ' ');
        node.text = (!trimmed.is_empty()).then(|| trimmed.to_owned());
        Ok(node)
    }
}

fn syntax(file: &str, error: &Error) -> LoadError {
    let position = error.pos();
    let reason = match error {
        Error::DtdDetected => "a document type is not allowed; remove the <!DOCTYPE ...>".to_owned(),
        error => error.to_string(),
    };
    LoadError::Syntax { file: file.to_owned(), line: position.row, column: position.col, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_refused() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>";
        assert!(matches!(parse("a.xml", bomb), Err(LoadError::Syntax { line: 1, .. })));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000));
        assert!(matches!(parse("a.xml", &deep), Err(LoadError::TooDeep { .. })));
    }

    #[test]
    fn text_is_that_of_the_element_itself() {
        let node = parse("a.xml", "<sql a='1'>\n <comment>c</comment> select <![CDATA[1 < 2]]>\n</sql>").unwrap();
        assert_eq!(node.text.as_deref(), Some("select 1 < 2"));
        assert_eq!(node.children[0].text.as_deref(), Some("c"));
        assert_eq!(node.attribute("a"), Some("1"));
    }
}
