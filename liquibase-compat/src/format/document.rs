//! Converts a YAML or JSON document into the tree that XML has.
//!
//! A scalar becomes an attribute, or an element where XML has one. A map or list becomes an element. The levels `changes` and `columns`, which
//! XML does not have, are removed.
//!
//! A list of columns may be called `columns` or `column`. Liquibase merges the maps in it: those called `column` are the columns, and if
//! there is none, all entries together are one column, which is empty for an empty list.

use crate::load_error::LoadError;
use crate::node::Node;

/// A value in a document, with its line.
#[derive(Debug, Clone)]
pub(super) struct DocumentNode {
    pub(super) line: u32,
    pub(super) value: DocumentValue,
    /// The number of levels below it, including its own.
    pub(super) height: usize,
}

impl DocumentNode {
    pub(super) fn new(line: u32, value: DocumentValue) -> Self {
        let inner = match &value {
            DocumentValue::Null | DocumentValue::Text(_) => None,
            DocumentValue::List(items) => items.iter().map(|item| item.height).max(),
            DocumentValue::Map(entries) => entries.iter().map(|(_, value)| value.height).max(),
        };
        Self { line, value, height: inner.unwrap_or(0) + 1 }
    }
}

/// A value in a document.
#[derive(Debug, Clone)]
pub(super) enum DocumentValue {
    Null,
    Text(String),
    List(Vec<DocumentNode>),
    Map(Vec<(String, DocumentNode)>),
}

/// Scalars that are elements in XML. Of an include, Liquibase then misses the file or the path.
const ELEMENT_SCALARS: &[&str] = &["comment", "rollback", "validCheckSum", "validCheckSums", "include", "includeAll"];

/// The keys in a rollback that refer to another changeset.
const ROLLBACK_REFERENCE_KEYS: &[&str] = &["changeSetId", "changeSetAuthor", "changeSetPath"];

/// The meaning of the scalars in a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScalarRole {
    Attributes,
    /// In a list of changes, `sql: drop table x` is an element.
    Changes,
    /// In a rollback a scalar is a change, or part of a reference.
    Rollback,
}

/// Converts a document.
///
/// # Errors
/// When the document is not a changelog.
pub(super) fn changelog(file: &str, document: DocumentNode) -> Result<Node, LoadError> {
    let syntax_error = |line: u32, reason: &str| LoadError::Syntax {
        file: file.to_owned(),
        line,
        column: 1,
        reason: reason.to_owned(),
    };
    let line = document.line;
    let entries = match document.value {
        DocumentValue::Map(entries) => entries,
        DocumentValue::Null => {
            return Err(syntax_error(line, "the file is empty; a changelog begins with databaseChangeLog:"));
        }
        _ => {
            return Err(syntax_error(
                line,
                "could not find databaseChangeLog; a changelog begins with databaseChangeLog:",
            ));
        }
    };
    let Some((name, root)) = entries.into_iter().find(|(name, _)| name == "databaseChangeLog") else {
        return Err(syntax_error(line, "could not find databaseChangeLog; a changelog begins with databaseChangeLog:"));
    };
    if !matches!(root.value, DocumentValue::List(_) | DocumentValue::Null) {
        return Err(syntax_error(
            root.line,
            "databaseChangeLog holds no list; each changeSet must begin ' - changeSet:'",
        ));
    }
    let mut node = Node { name, line, lenient: true, ..Node::default() };
    fill(&mut node, root, ScalarRole::Attributes);
    Ok(node)
}

/// Adds the content of a value to a node. The depth of the document limits the recursion.
fn fill(node: &mut Node, content: DocumentNode, role: ScalarRole) {
    match content.value {
        DocumentValue::Null => {}
        DocumentValue::Text(text) => node.text = Some(text).filter(|text| !text.trim().is_empty()),
        DocumentValue::Map(entries) => entries.into_iter().for_each(|(name, value)| entry(node, name, value, role)),
        DocumentValue::List(items) => {
            let (maps, others): (Vec<DocumentNode>, Vec<DocumentNode>) =
                items.into_iter().partition(|item| matches!(item.value, DocumentValue::Map(_)));
            if !others.is_empty() {
                node.text = Some(list_text(&others)).filter(|text| !text.trim().is_empty());
            }
            maps.into_iter().for_each(|item| fill(node, item, role));
        }
    }
}

fn entry(parent: &mut Node, name: String, value: DocumentNode, role: ScalarRole) {
    match name.as_str() {
        // Elsewhere it is an element that nothing knows.
        "changes" if parent.name == "changeSet" => return fill(parent, value, ScalarRole::Changes),
        "columns" | "column" if !matches!(value.value, DocumentValue::Text(_)) => return columns(parent, value),
        "validCheckSum" | "validCheckSums" => return valid_checksums(parent, value),
        _ => {}
    }
    let scalar = match &value.value {
        DocumentValue::Null => Some(None),
        DocumentValue::Text(text) => Some(Some(text.clone())),
        DocumentValue::List(items) if !items.is_empty() && items.iter().all(|item| is_scalar(&item.value)) => {
            Some(Some(list_text(items)))
        }
        _ => None,
    };
    let element = ELEMENT_SCALARS.contains(&name.as_str())
        || role == ScalarRole::Changes
        || (role == ScalarRole::Rollback && !ROLLBACK_REFERENCE_KEYS.contains(&name.as_str()));
    if let (Some(text), false) = (&scalar, element) {
        parent.attributes.extend(text.clone().map(|text| (name, text)));
        return;
    }
    let inner = if name == "rollback" { ScalarRole::Rollback } else { ScalarRole::Attributes };
    let mut child = Node { name, line: value.line, lenient: true, ..Node::default() };
    fill(&mut child, value, inner);
    parent.children.push(child);
}

/// Adds an element for each column of a list.
fn columns(parent: &mut Node, list: DocumentNode) {
    let line = list.line;
    let mut column = |value: DocumentNode| {
        let mut child = Node { name: "column".to_owned(), line: value.line, lenient: true, ..Node::default() };
        fill(&mut child, value, ScalarRole::Attributes);
        parent.children.push(child);
    };
    let mut entries = Vec::new();
    match list.value {
        DocumentValue::Map(map) => entries = map,
        DocumentValue::List(items) => {
            for item in items {
                if let DocumentValue::Map(map) = item.value {
                    entries.extend(map);
                }
            }
        }
        DocumentValue::Null | DocumentValue::Text(_) => {}
    }
    let (named, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, _)| name == "column");
    if named.is_empty() {
        return column(DocumentNode::new(line, DocumentValue::Map(others)));
    }
    named.into_iter().for_each(|(_, value)| column(value));
    for (name, value) in others {
        tracing::warn!(line = value.line, name, "not a column of the list of columns; it is left out, as in Liquibase");
    }
}

fn is_scalar(value: &DocumentValue) -> bool {
    matches!(value, DocumentValue::Text(_) | DocumentValue::Null)
}

/// Adds one element for each checksum of a list.
fn valid_checksums(parent: &mut Node, value: DocumentNode) {
    let items = match value.value {
        DocumentValue::List(items) => items,
        _ => vec![value],
    };
    for item in items {
        let mut child = Node { name: "validCheckSum".to_owned(), line: item.line, lenient: true, ..Node::default() };
        fill(&mut child, item, ScalarRole::Attributes);
        parent.children.push(child);
    }
}

/// The text of a list in the place of a scalar: that of its only item, or all items as Java prints a list.
fn list_text(items: &[DocumentNode]) -> String {
    let text = |item: &DocumentNode| match &item.value {
        DocumentValue::Text(text) => text.clone(),
        DocumentValue::List(items) => list_text(items),
        DocumentValue::Null | DocumentValue::Map(_) => "null".to_owned(),
    };
    match items {
        [one] => text(one),
        items => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
    }
}
