//! Reading one `<changeSet>` element.

use crate::change::Change;
use crate::changeset::{ChangeSet, OnValidationFail, RollbackPart};
use crate::changeset_id::{ChangeSetId, MISSING_ID};
use crate::checksum::Checksum;
use crate::load_error::{LoadError, Location};
use crate::modify_sql;
use crate::node::Node;
use crate::path;
use crate::precondition::Preconditions;
use crate::properties::Properties;
use crate::sql::Quoting;

/// What a `<changeSet>` may have.
const ATTRIBUTES: &[&str] = &[
    "id",
    "author",
    "context",
    "contextFilter",
    "labels",
    "dbms",
    "runAlways",
    "runOnChange",
    "failOnError",
    "runInTransaction",
    "logicalFilePath",
    "objectQuotingStrategy",
    "onValidationFail",
    "runOrder",
    "ignore",
    "created",
];

/// What a changeset takes over from the files around it.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited {
    /// The path stored in the history unless the changeset has its own.
    pub(super) file: String,
    /// Innermost first.
    pub(super) contexts: Vec<String>,
    /// Outermost first.
    pub(super) labels: Vec<String>,
    pub(super) ignore: bool,
    pub(super) quoting: Quoting,
}

/// Where in the run a changeset stands (`runOrder`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RunOrder {
    First,
    Middle,
    Last,
}

/// Refuses attributes that are not known.
pub(super) fn check_attributes(node: &Node, at: &Location, known: &[&str]) -> Result<(), LoadError> {
    match node.attributes.iter().find(|(name, _)| !known.iter().any(|known| node.is_called(name, known))) {
        None => Ok(()),
        Some((name, _)) if node.lenient => {
            tracing::warn!(place = %at, element = node.name, name, "not known here; it is left out");
            Ok(())
        }
        Some((name, _)) => Err(LoadError::UnknownAttribute {
            at: at.clone().into(),
            name: name.clone(),
            element: node.name.clone(),
            known: known.join(", "),
        }),
    }
}

/// An attribute that must be there and not be empty.
pub(super) fn needed<'n>(node: &'n Node, name: &str, at: &Location) -> Result<&'n str, LoadError> {
    node.attribute(name).filter(|value| !value.is_empty()).ok_or_else(|| LoadError::Missing {
        at: at.clone().into(),
        element: node.name.clone(),
        name: name.to_owned(),
    })
}

/// A boolean attribute: true for `true` in any case. Elsewhere but in XML, where the schema forbids it, anything else is false.
pub(super) fn boolean(node: &Node, name: &str, default: bool, at: &Location) -> Result<bool, LoadError> {
    match node.attribute(name).map(str::to_lowercase).as_deref() {
        None | Some("") => Ok(default),
        Some("true") => Ok(true),
        // The schema allows 1, and Java reads it as false.
        Some("false" | "0" | "1") => Ok(false),
        Some(_) if node.lenient => Ok(false),
        Some(value) => Err(bad(node, name, value, "true, false", at)),
    }
}

fn bad(node: &Node, name: &str, value: &str, allowed: &str, at: &Location) -> LoadError {
    LoadError::BadValue {
        at: at.clone().into(),
        element: node.name.clone(),
        name: name.to_owned(),
        value: value.to_owned(),
        allowed: allowed.to_owned(),
    }
}

/// The context expression of an element, if it has one.
pub(super) fn context(node: &Node) -> Option<String> {
    let written = node.attribute("contextFilter").or_else(|| node.attribute("context"));
    written.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The labels of an element, if it has any.
pub(super) fn labels(node: &Node) -> Option<String> {
    node.attribute("labels").filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

/// The quoting strategy of an element, or that of the element around it.
pub(super) fn quoting(node: &Node, around: Quoting, at: &Location) -> Result<Quoting, LoadError> {
    match node.attribute("objectQuotingStrategy") {
        None => Ok(around),
        Some(name) => Quoting::named(name).ok_or_else(|| {
            bad(node, "objectQuotingStrategy", name, "LEGACY, QUOTE_ALL_OBJECTS, QUOTE_ONLY_RESERVED_WORDS", at)
        }),
    }
}

/// Reads a `<changeSet>` whose properties have been replaced.
pub(super) fn read(
    node: &Node,
    at: &Location,
    around: &Inherited,
    properties: &Properties,
) -> Result<(RunOrder, ChangeSet), LoadError> {
    let (id, author) = identity(node, at)?;
    let at = &Location { changeset: Some(format!("{id}::{author}")), ..at.clone() };
    check_attributes(node, at, &[ATTRIBUTES, &["runWith", "runWithSpoolFile"]].concat())?;
    let file = node.attribute("logicalFilePath").filter(|path| !path.is_empty()).unwrap_or(&around.file);
    let mut set = ChangeSet {
        id: ChangeSetId { file: path::normalise(file), id, author },
        contexts: around.contexts.iter().cloned().chain(context(node)).collect(),
        labels: around.labels.iter().cloned().chain(labels(node)).collect(),
        dbms: node.attribute("dbms").unwrap_or_default().to_owned(),
        ignore: around.ignore || boolean(node, "ignore", false, at)?,
        run_always: boolean(node, "runAlways", false, at)?,
        run_on_change: boolean(node, "runOnChange", false, at)?,
        fail_on_error: boolean(node, "failOnError", true, at)?,
        run_with: node.attribute("runWith").filter(|with| !with.is_empty() && *with != "jdbc").map(str::to_owned),
        run_in_transaction: boolean(node, "runInTransaction", true, at)?,
        on_validation_fail: on_validation_fail(node, at)?,
        quoting: quoting(node, around.quoting, at)?,
        comments: String::new(),
        valid_checksums: Vec::new(),
        preconditions: None,
        changes: Vec::new(),
        visitors: Vec::new(),
        rollback: None,
    };
    for child in &node.children {
        read_child(&mut set, child, at, properties)?;
    }
    Ok((run_order(node, at)?, set))
}

/// Id and author. Where no schema asks for them, validation does.
fn identity(node: &Node, at: &Location) -> Result<(String, String), LoadError> {
    if !node.lenient {
        return Ok((needed(node, "id", at)?.to_owned(), needed(node, "author", at)?.to_owned()));
    }
    let or_null = |name: &str| node.attribute(name).unwrap_or(MISSING_ID).to_owned();
    Ok((or_null("id"), or_null("author")))
}

fn read_child(set: &mut ChangeSet, child: &Node, at: &Location, properties: &Properties) -> Result<(), LoadError> {
    let text = child.text.as_deref().unwrap_or_default().trim();
    match child.name.as_str() {
        "comment" if set.comments.is_empty() => set.comments = text.to_owned(),
        "comment" => set.comments.push_str(&format!("\n{text}")),
        "validCheckSum" => set.valid_checksums.push(Checksum::parse(text)),
        "preConditions" => {
            let file = set.id.file.clone();
            set.preconditions = Some(Preconditions::read(child, at, &file, &|name| properties.get(name))?);
        }
        "rollback" => {
            let parts = rollback(child, at, &set.id.file)?;
            set.rollback.get_or_insert_default().extend(parts);
        }
        "modifySql" => set.visitors.extend(modify_sql::read(child, at)?),
        name if is_stray(child, name) => {
            tracing::warn!(place = %at, name, "no change of that name; it is left out");
        }
        _ => set.changes.push(Change::read(child, at)?),
    }
    Ok(())
}

/// Whether a child is a mere text without a schema and no change: Liquibase takes it for an attribute it does not know.
fn is_stray(child: &Node, name: &str) -> bool {
    let bare = child.children.is_empty() && child.attributes.is_empty() && child.text.is_some();
    child.lenient && bare && !Change::is_known(name)
}

fn rollback(node: &Node, at: &Location, file: &str) -> Result<Vec<RollbackPart>, LoadError> {
    if let Some(id) = node.attribute("changeSetId") {
        let at = Location { line: node.line, ..at.clone() };
        return Ok(vec![RollbackPart::Reference(ChangeSetId {
            file: path::normalise(node.attribute("changeSetPath").unwrap_or(file)),
            id: id.to_owned(),
            author: needed(node, "changeSetAuthor", &at)?.to_owned(),
        })]);
    }
    let mut parts: Vec<RollbackPart> = Vec::new();
    for child in node.children.iter().filter(|child| child.name != "comment") {
        parts.push(RollbackPart::Change(Change::read(child, at)?));
    }
    parts.extend(node.text.iter().cloned().map(RollbackPart::Sql));
    Ok(parts)
}

fn on_validation_fail(node: &Node, at: &Location) -> Result<OnValidationFail, LoadError> {
    match node.attribute("onValidationFail") {
        None | Some("HALT") => Ok(OnValidationFail::Halt),
        Some("MARK_RAN") => Ok(OnValidationFail::MarkRan),
        Some(value) => Err(bad(node, "onValidationFail", value, "HALT, MARK_RAN", at)),
    }
}

fn run_order(node: &Node, at: &Location) -> Result<RunOrder, LoadError> {
    match node.attribute("runOrder").map(str::to_lowercase).as_deref() {
        None => Ok(RunOrder::Middle),
        Some("first") => Ok(RunOrder::First),
        Some("last") => Ok(RunOrder::Last),
        Some(value) => Err(bad(node, "runOrder", value, "first, last", at)),
    }
}
