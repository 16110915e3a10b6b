//! Reads a `<changeSet>` element.

use super::attributes::{bad_value, boolean, context, labels, needed, quoting};
use crate::change::Change;
use crate::changeset::{ChangeSet, OnValidationFail, RollbackPart};
use crate::changeset_id::{ChangeSetId, MISSING_ID};
use crate::checksum::Checksum;
use crate::load_error::{LoadError, Location};
use crate::modify_sql;
use crate::node::Node;
use crate::path;
use crate::precondition::{MainChangelog, Preconditions};
use crate::properties::Properties;
use crate::sql::Quoting;

/// The attributes of `<changeSet>`.
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
    "runWith",
    "runWithSpoolFile",
];

/// What a changeset inherits from its file and the files that include it.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited {
    /// The path that the history stores, unless the changeset has its own.
    pub(super) file: String,
    pub(super) main: MainChangelog,
    /// Innermost first.
    pub(super) contexts: Vec<String>,
    /// Outermost first.
    pub(super) labels: Vec<String>,
    pub(super) ignore: bool,
    /// Whether the file is formatted SQL.
    pub(super) is_formatted_sql: bool,
    pub(super) quoting: Quoting,
    /// The `runWith` of a `modifyChangeSets` around the include.
    pub(super) run_with: Option<String>,
}

/// The position of a changeset in the run (`runOrder`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RunOrder {
    First,
    Middle,
    Last,
}

/// Reads a `<changeSet>` after its properties were replaced.
pub(super) fn read(
    node: &Node,
    at: &Location,
    inherited: &Inherited,
    properties: &Properties,
) -> Result<(RunOrder, ChangeSet), LoadError> {
    let (id, author) = identity(node, at)?;
    let at = &Location { changeset: Some(format!("{id}::{author}")), ..at.clone() };
    node.check_attributes(at, ATTRIBUTES)?;
    let logical = node.attribute("logicalFilePath").map(path::logical).filter(|path| !path.is_empty());
    let mut set = ChangeSet {
        id: ChangeSetId { file: logical.unwrap_or_else(|| inherited.file.clone()), id, author },
        contexts: inherited.contexts.iter().cloned().chain(context(node)).collect(),
        labels: inherited.labels.iter().cloned().chain([labels(node).unwrap_or_default()]).collect(),
        dbms: node.attribute("dbms").unwrap_or_default().to_owned(),
        is_formatted_sql: inherited.is_formatted_sql,
        ignore: inherited.ignore || boolean(node, "ignore", false),
        run_always: boolean(node, "runAlways", false),
        run_on_change: boolean(node, "runOnChange", false),
        fail_on_error: boolean(node, "failOnError", true),
        run_with: inherited
            .run_with
            .as_deref()
            .or_else(|| node.attribute("runWith"))
            .filter(|program| !program.is_empty() && *program != "jdbc")
            .map(str::to_owned),
        run_in_transaction: boolean(node, "runInTransaction", true),
        on_validation_fail: on_validation_fail(node, at)?,
        quoting: quoting(node, inherited.quoting, at)?,
        comments: String::new(),
        valid_checksums: Vec::new(),
        preconditions: None,
        changes: Vec::new(),
        visitors: Vec::new(),
        unreadable_visitor: None,
        rollback: None,
    };
    for child in &node.children {
        read_child(&mut set, child, at, inherited, properties)?;
    }
    Ok((run_order(node, at)?, set))
}

/// The id and the author. In YAML and JSON, which have no schema, validation reports a missing one.
fn identity(node: &Node, at: &Location) -> Result<(String, String), LoadError> {
    if !node.lenient {
        return Ok((needed(node, "id", at)?.to_owned(), needed(node, "author", at)?.to_owned()));
    }
    let or_null = |name: &str| node.attribute(name).unwrap_or(MISSING_ID).to_owned();
    Ok((or_null("id"), or_null("author")))
}

fn read_child(
    set: &mut ChangeSet,
    child: &Node,
    at: &Location,
    inherited: &Inherited,
    properties: &Properties,
) -> Result<(), LoadError> {
    let text = child.text.as_deref().unwrap_or_default().trim();
    if matches!(child.name.as_str(), "comment" | "validCheckSum") {
        child.check_attributes(at, &["value"])?;
    }
    match child.name.as_str() {
        "comment" if set.comments.is_empty() => set.comments = text.to_owned(),
        "comment" => set.comments.push_str(&format!("\n{text}")),
        "validCheckSum" => set.valid_checksums.push(Checksum::parse(text)),
        "preConditions" => {
            // Without a changeLogFile, changeSetExecuted means the changelog that includes all others, whatever file it stands in.
            set.preconditions = Some(Preconditions::read(child, at, &inherited.main, &|name| properties.get(name))?);
        }
        "rollback" => {
            // In formatted SQL, Liquibase looks for the changeset under the path of the file, even if it is stored under another one.
            let file = if inherited.is_formatted_sql { &at.file } else { &set.id.file };
            let parts = rollback(child, at, file)?;
            set.rollback.get_or_insert_default().extend(parts);
        }
        "modifySql" => set.visitors.extend(modify_sql::read(child, at)?),
        name if is_unknown_attribute(child, name) => {
            tracing::warn!(place = %at, name, "no change of that name; it is left out");
        }
        _ => set.changes.push(Change::read(child, at)?),
    }
    Ok(())
}

/// Whether a child in YAML or JSON is only a text and not a change. Liquibase treats it as an unknown attribute and ignores it.
fn is_unknown_attribute(child: &Node, name: &str) -> bool {
    let is_text = child.children.is_empty() && child.attributes.is_empty() && child.text.is_some();
    child.lenient && is_text && !Change::is_known(name)
}

fn rollback(node: &Node, at: &Location, file: &str) -> Result<Vec<RollbackPart>, LoadError> {
    if !node.lenient {
        node.check_attributes(at, &["changeSetId", "changeSetAuthor", "changeSetPath"])?;
    }
    if let Some(id) = node.attribute("changeSetId") {
        let at = Location { line: node.line, ..at.clone() };
        return Ok(vec![RollbackPart::Reference(ChangeSetId {
            file: node.attribute("changeSetPath").unwrap_or(file).to_owned(),
            id: id.to_owned(),
            author: match node.attribute("changeSetAuthor") {
                None if node.lenient => MISSING_ID.to_owned(),
                _ => needed(node, "changeSetAuthor", &at)?.to_owned(),
            },
        })]);
    }
    let mut parts: Vec<RollbackPart> = Vec::new();
    for child in node.children.iter().filter(|child| child.name != "comment") {
        if is_unknown_attribute(child, &child.name) {
            tracing::warn!(place = %at, name = child.name, "no change of that name; it is left out of the rollback");
            continue;
        }
        parts.push(RollbackPart::Change(Change::read(child, at)?));
    }
    parts.extend(node.text.iter().cloned().map(RollbackPart::Sql));
    Ok(parts)
}

fn on_validation_fail(node: &Node, at: &Location) -> Result<OnValidationFail, LoadError> {
    match node.attribute("onValidationFail") {
        None | Some("HALT") => Ok(OnValidationFail::Halt),
        Some("MARK_RAN") => Ok(OnValidationFail::MarkRan),
        Some(value) => Err(bad_value(node, "onValidationFail", value, "HALT, MARK_RAN", at)),
    }
}

fn run_order(node: &Node, at: &Location) -> Result<RunOrder, LoadError> {
    match node.attribute("runOrder") {
        None => Ok(RunOrder::Middle),
        Some("first") => Ok(RunOrder::First),
        Some("last") => Ok(RunOrder::Last),
        Some(value) => Err(bad_value(node, "runOrder", value, "first, last", at)),
    }
}
