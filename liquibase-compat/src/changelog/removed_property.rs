//! `removeChangeSetProperty`: removes the position of added columns from the changesets after it in its file.
//!
//! A changelog for several databases may give the position of a column, which PostgreSQL cannot choose and Liquibase refuses. The field is
//! removed when a changeset is read, and therefore from its checksum too.

use super::attributes::needed;
use crate::change::Change;
use crate::expression;
use crate::load_error::{LoadError, Location};
use crate::node::Node;

/// The only change type that Liquibase removes fields from.
const CHANGE: &str = "addColumn";

/// The fields that can be removed.
const REMOVABLE: &[&str] = &["afterColumn", "beforeColumn", "position"];

/// A field that is removed from the columns of every later `addColumn` of the file.
#[derive(Debug, Clone)]
pub(super) struct RemovedProperty {
    name: String,
    line: u32,
}

impl RemovedProperty {
    /// Reads the element; `None` if it is for another database or change type.
    ///
    /// # Errors
    /// When an attribute is unknown or missing.
    pub(super) fn read(node: &Node, at: &Location) -> Result<Option<Self>, LoadError> {
        node.check_attributes(at, &["change", "dbms", "remove"])?;
        // Without a database it applies to none.
        let dbms = node.attribute("dbms").unwrap_or_default().trim();
        if dbms.is_empty() || !expression::for_postgresql(dbms) {
            return Ok(None);
        }
        let change = node.attribute("change").unwrap_or_default();
        if change != CHANGE {
            tracing::warn!(place = %at, change, "removeChangeSetProperty only applies to addColumn; it is left out");
            return Ok(None);
        }
        Ok(Some(Self { name: needed(node, "remove", at)?.to_owned(), line: node.line }))
    }

    /// Removes the field from a change.
    ///
    /// # Errors
    /// When it is a field that cannot be removed. Liquibase, too, reports that only if there is a change to remove it from.
    pub(super) fn apply(&self, change: &mut Change, at: &Location) -> Result<(), LoadError> {
        if change.kind.name != CHANGE {
            return Ok(());
        }
        if !REMOVABLE.contains(&self.name.as_str()) {
            return Err(LoadError::BadValue {
                at: Location { line: self.line, ..at.clone() }.into(),
                element: "removeChangeSetProperty".to_owned(),
                name: "remove".to_owned(),
                value: self.name.clone(),
                allowed: REMOVABLE.join(", "),
            });
        }
        change.remove_column_field(&self.name);
        Ok(())
    }
}
