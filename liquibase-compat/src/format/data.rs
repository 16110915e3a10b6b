//! YAML and JSON documents as lists, maps and texts, and those as a tree of nodes.
//!
//! Such a document says with lists and maps what XML says with elements and attributes. Here it takes the shape of the XML: a
//! scalar is an attribute, or an element where XML has one; a map or list is an element; the wrappers that XML does not have
//! (`changes`, `columns`) disappear.

use crate::load_error::LoadError;
use crate::node::Node;

/// A value with its line.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) line: u32,
    pub(super) body: Body,
    /// How many levels it has.
    pub(super) height: usize,
}

impl Data {
    pub(super) fn new(line: u32, body: Body) -> Self {
        let inner = match &body {
            Body::Null | Body::Text(_) => None,
            Body::List(items) => items.iter().map(|item| item.height).max(),
            Body::Map(entries) => entries.iter().map(|(_, value)| value.height).max(),
        };
        Self { line, body, height: inner.unwrap_or(0) + 1 }
    }
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Null,
    Text(String),
    List(Vec<Data>),
    Map(Vec<(String, Data)>),
}

/// Scalars of a changeset that are elements in XML.
const ELEMENTS: &[&str] = &["comment", "rollback", "validCheckSum", "validCheckSums"];

/// What a reference to another changeset's changes consists of, in a rollback.
const REFERENCE: &[&str] = &["changeSetId", "changeSetAuthor", "changeSetPath"];

/// What a scalar inside of an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scalars {
    Attributes,
    /// A list of changes: `sql: drop table x` is an element.
    Changes,
    /// A rollback: changes, or a reference.
    Rollback,
}

/// The tree of a document.
///
/// # Errors
/// When it is no changelog.
pub(super) fn changelog(file: &str, document: Data) -> Result<Node, LoadError> {
    let wrong = |line: u32, reason: &str| LoadError::Syntax {
        file: file.to_owned(),
        line,
        column: 1,
        reason: reason.to_owned(),
    };
    let line = document.line;
    let entries = match document.body {
        Body::Map(entries) => entries,
        Body::Null => return Err(wrong(line, "the file is empty; a changelog begins with databaseChangeLog:")),
        _ => return Err(wrong(line, "could not find databaseChangeLog; a changelog begins with databaseChangeLog:")),
    };
    let Some((name, root)) = entries.into_iter().find(|(name, _)| name == "databaseChangeLog") else {
        return Err(wrong(line, "could not find databaseChangeLog; a changelog begins with databaseChangeLog:"));
    };
    if !matches!(root.body, Body::List(_) | Body::Null) {
        return Err(wrong(root.line, "databaseChangeLog holds no list; each changeSet must begin ' - changeSet:'"));
    }
    let mut node = Node { name, line, lenient: true, ..Node::default() };
    fill(&mut node, root, Scalars::Attributes);
    Ok(node)
}

/// Puts what a value holds into a node. Recursion is bounded by the depth of the document.
fn fill(node: &mut Node, data: Data, scalars: Scalars) {
    match data.body {
        Body::Null => {}
        Body::Text(text) => node.text = Some(text).filter(|text| !text.trim().is_empty()),
        Body::Map(entries) => entries.into_iter().for_each(|(name, value)| entry(node, name, value, scalars)),
        Body::List(items) => {
            let (maps, others): (Vec<Data>, Vec<Data>) =
                items.into_iter().partition(|item| matches!(item.body, Body::Map(_)));
            if !others.is_empty() {
                node.text = Some(list_text(&others)).filter(|text| !text.trim().is_empty());
            }
            maps.into_iter().for_each(|item| fill(node, item, scalars));
        }
    }
}

fn entry(parent: &mut Node, name: String, value: Data, scalars: Scalars) {
    match name.as_str() {
        "changes" => return fill(parent, value, Scalars::Changes),
        "columns" => return fill(parent, value, Scalars::Attributes),
        "validCheckSum" | "validCheckSums" => return valid_checksums(parent, value),
        _ => {}
    }
    let scalar = match &value.body {
        Body::Null => Some(None),
        Body::Text(text) => Some(Some(text.clone())),
        Body::List(items) if !items.is_empty() && items.iter().all(|item| is_plain(&item.body)) => {
            Some(Some(list_text(items)))
        }
        _ => None,
    };
    let element = ELEMENTS.contains(&name.as_str())
        || scalars == Scalars::Changes
        || (scalars == Scalars::Rollback && !REFERENCE.contains(&name.as_str()));
    if let (Some(text), false) = (&scalar, element) {
        parent.attributes.extend(text.clone().map(|text| (name, text)));
        return;
    }
    let inner = if name == "rollback" { Scalars::Rollback } else { Scalars::Attributes };
    let mut child = Node { name, line: value.line, lenient: true, ..Node::default() };
    fill(&mut child, value, inner);
    parent.children.push(child);
}

fn is_plain(body: &Body) -> bool {
    matches!(body, Body::Text(_) | Body::Null)
}

/// One element for each of a list.
fn valid_checksums(parent: &mut Node, value: Data) {
    let items = match value.body {
        Body::List(items) => items,
        _ => vec![value],
    };
    for item in items {
        let mut child = Node { name: "validCheckSum".to_owned(), line: item.line, lenient: true, ..Node::default() };
        fill(&mut child, item, Scalars::Attributes);
        parent.children.push(child);
    }
}

/// A list where one value is asked for: the only item, or all of them as Java writes a list.
fn list_text(items: &[Data]) -> String {
    let text = |item: &Data| match &item.body {
        Body::Text(text) => text.clone(),
        Body::List(items) => list_text(items),
        Body::Null | Body::Map(_) => "null".to_owned(),
    };
    match items {
        [one] => text(one),
        items => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
    }
}
