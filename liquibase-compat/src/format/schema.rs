//! What Liquibase's schema asks of an XML changelog: order, and what must be there.
//!
//! Names that are not known are refused where they are read; here is the rest that makes a file invalid as a whole, so that nothing of
//! it runs: elements in the wrong place, attributes and columns that are missing, booleans that are none. Other values are not looked
//! at; any may be `${}`.

use crate::load_error::{LoadError, Location};
use crate::node::Node;

/// One place in the order of an element's children.
struct Slot {
    names: &'static [&'static str],
    /// More than one element may stand there.
    many: bool,
}

const fn many(names: &'static [&'static str]) -> Slot {
    Slot { names, many: true }
}

const fn one(names: &'static [&'static str]) -> Slot {
    Slot { names, many: false }
}

/// The order inside of a changelog.
const CHANGELOG: &[Slot] = &[
    many(&["removeChangeSetProperty"]),
    many(&["property"]),
    one(&["preConditions"]),
    many(&["changeSet", "include", "includeAll", "modifyChangeSets"]),
];

/// The order inside of a changeset; what is not named is a change, and stands where `comment` and `rollback` do.
const CHANGESET: &[Slot] =
    &[many(&["validCheckSum"]), one(&["preConditions"]), many(&["comment", "rollback"]), many(&["modifySql"])];

/// The slot of changes in [`CHANGESET`].
const CHANGES: usize = 2;

/// The attributes that an element must have. `tableName` alone is in [`NEED_TABLE`].
const REQUIRED: &[(&str, &[&str])] = &[
    ("changeSet", &["id", "author"]),
    ("include", &["file"]),
    ("includeAll", &["path"]),
    ("createView", &["viewName"]),
    ("renameTable", &["oldTableName", "newTableName"]),
    ("renameView", &["oldViewName", "newViewName"]),
    ("renameColumn", &["tableName", "oldColumnName", "newColumnName"]),
    ("renameSequence", &["oldSequenceName", "newSequenceName"]),
    ("dropView", &["viewName"]),
    ("dropProcedure", &["procedureName"]),
    ("mergeColumns", &["tableName", "column1Name", "joinString", "column2Name", "finalColumnName", "finalColumnType"]),
    ("createSequence", &["sequenceName"]),
    ("alterSequence", &["sequenceName"]),
    ("dropSequence", &["sequenceName"]),
    ("createIndex", &["tableName", "indexName"]),
    ("dropIndex", &["tableName", "indexName"]),
    ("addPrimaryKey", &["tableName", "columnNames"]),
    ("addUniqueConstraint", &["tableName", "columnNames"]),
    ("modifyDataType", &["tableName", "columnName", "newDataType"]),
    ("addLookupTable", &["existingTableName", "existingColumnName", "newTableName", "newColumnName"]),
    ("addAutoIncrement", &["tableName", "columnName"]),
    ("addDefaultValue", &["tableName", "columnName"]),
    ("dropDefaultValue", &["tableName", "columnName"]),
    ("addNotNullConstraint", &["tableName", "columnName"]),
    ("setColumnRemarks", &["tableName", "columnName"]),
    ("loadData", &["tableName", "file"]),
    ("loadUpdateData", &["tableName", "file", "primaryKey"]),
    (
        "addForeignKeyConstraint",
        &["baseTableName", "baseColumnNames", "constraintName", "referencedTableName", "referencedColumnNames"],
    ),
    ("dropForeignKeyConstraint", &["baseTableName"]),
    ("dropAllForeignKeyConstraints", &["baseTableName"]),
    ("sqlFile", &["path"]),
    ("tagDatabase", &["tag"]),
    ("executeCommand", &["executable"]),
    ("customChange", &["class"]),
    ("replace", &["replace", "with"]),
    ("regExpReplace", &["replace", "with"]),
    ("prepend", &["value"]),
    ("append", &["value"]),
    ("dbms", &["type"]),
    ("changeSetExecuted", &["id", "author"]),
    ("columnExists", &["tableName", "columnName"]),
    ("sequenceExists", &["sequenceName"]),
    ("foreignKeyConstraintExists", &["foreignKeyName"]),
    ("viewExists", &["viewName"]),
    ("sqlCheck", &["expectedResult"]),
    ("changeLogPropertyDefined", &["property"]),
    ("runningAs", &["username"]),
    ("expectedQuotingStrategy", &["strategy"]),
];

/// Elements that must name a table, and nothing else.
const NEED_TABLE: &[&str] = &[
    "createTable",
    "addColumn",
    "dropTable",
    "dropColumn",
    "dropPrimaryKey",
    "dropUniqueConstraint",
    "dropNotNullConstraint",
    "setTableRemarks",
    "insert",
    "update",
    "delete",
    "tableExists",
    "uniqueConstraintExists",
];

/// Elements that must hold a column.
const NEED_COLUMN: &[&str] = &["addColumn", "insert"];

/// Attributes that are true or false, or a property.
const BOOLEANS: &[&str] = &[
    "autoIncrement",
    "cascadeConstraints",
    "deferrable",
    "defaultValueBoolean",
    "deleteCascade",
    "descending",
    "failOnError",
    "fullDefinition",
    "initiallyDeferred",
    "nullable",
    "primaryKey",
    "relativeToChangelogFile",
    "replaceIfExists",
    "runAlways",
    "runInTransaction",
    "runOnChange",
    "splitStatements",
    "stripComments",
    "unique",
    "valueBoolean",
];

/// Checks a whole changelog file.
///
/// # Errors
/// The first thing that is out of place or missing.
pub(super) fn check(file: &str, root: &Node) -> Result<(), LoadError> {
    if root.name != "databaseChangeLog" {
        return Ok(());
    }
    order(file, root, CHANGELOG, None)?;
    for child in &root.children {
        let at = |line| Location { file: file.to_owned(), line, changeset: named(child) };
        required(child, &at)?;
        match child.name.as_str() {
            "changeSet" => changeset(file, child, &at)?,
            "preConditions" => global_preconditions(child, &at)?,
            _ => {}
        }
    }
    Ok(())
}

fn named(node: &Node) -> Option<String> {
    let set = node.name == "changeSet";
    set.then(|| Some(format!("{}::{}", node.attribute("id")?, node.attribute("author")?))).flatten()
}

fn changeset(file: &str, set: &Node, at: &dyn Fn(u32) -> Location) -> Result<(), LoadError> {
    order(file, set, CHANGESET, Some(CHANGES))?;
    for child in &set.children {
        below(child, at)?;
        // A tag stands for itself: it takes the place of all changes, comments and rollbacks.
        if child.name == "tagDatabase"
            && set.children.iter().filter(|other| slot(CHANGESET, other) == CHANGES).count() > 1
        {
            return Err(LoadError::Misplaced {
                at: at(child.line).into(),
                name: child.name.clone(),
                parent: set.name.clone(),
                order: "a changeset of its own, without comment, rollback or other changes".to_owned(),
            });
        }
    }
    Ok(())
}

/// What an element and all below it must have.
fn below(node: &Node, at: &dyn Fn(u32) -> Location) -> Result<(), LoadError> {
    required(node, at)?;
    node.children.iter().try_for_each(|child| below(child, at))
}

fn required(node: &Node, at: &dyn Fn(u32) -> Location) -> Result<(), LoadError> {
    let found = REQUIRED.iter().find(|(name, _)| *name == node.name).map(|(_, attributes)| *attributes);
    let wanted: &[&str] = found.unwrap_or(if NEED_TABLE.contains(&node.name.as_str()) { &["tableName"] } else { &[] });
    let attribute = wanted.iter().find(|name| node.attribute(name).is_none());
    let column = NEED_COLUMN.contains(&node.name.as_str()) && node.children.iter().all(|child| child.name != "column");
    if let Some(name) = attribute.or(column.then_some(&"column")) {
        let (element, name) = (node.name.clone(), (*name).to_owned());
        return Err(LoadError::Missing { at: at(node.line).into(), element, name });
    }
    let is_boolean = |value: &str| matches!(value, "true" | "false" | "1" | "0") || value.contains("${");
    // What loadUpdateData calls its primary key are columns.
    let boolean = |name: &str| BOOLEANS.contains(&name) && !(name == "primaryKey" && node.name == "loadUpdateData");
    match node.attributes.iter().find(|(name, value)| boolean(name) && !is_boolean(value.trim())) {
        None => Ok(()),
        Some((name, value)) => Err(LoadError::BadValue {
            at: at(node.line).into(),
            element: node.name.clone(),
            name: name.clone(),
            value: value.clone(),
            allowed: "true, false".to_owned(),
        }),
    }
}

/// A changelog as a whole cannot be skipped or marked as run.
fn global_preconditions(node: &Node, at: &dyn Fn(u32) -> Location) -> Result<(), LoadError> {
    below(node, at)?;
    for name in ["onFail", "onError"] {
        if let Some(value) = node.attribute(name).filter(|value| !matches!(*value, "HALT" | "WARN")) {
            return Err(LoadError::BadValue {
                at: at(node.line).into(),
                element: node.name.clone(),
                name: name.to_owned(),
                value: value.to_owned(),
                allowed: "HALT, WARN (outside of a changeset)".to_owned(),
            });
        }
    }
    Ok(())
}

/// The slot that an element belongs to; one that no slot names counts as a change.
fn slot(slots: &[Slot], node: &Node) -> usize {
    slots.iter().position(|slot| slot.names.contains(&node.name.as_str())).unwrap_or(CHANGES)
}

fn order(file: &str, parent: &Node, slots: &[Slot], others: Option<usize>) -> Result<(), LoadError> {
    let mut reached = 0;
    let mut taken = false;
    for child in &parent.children {
        let known = slots.iter().position(|slot| slot.names.contains(&child.name.as_str())).or(others);
        // What no slot knows is refused where it is read.
        let Some(place) = known else { continue };
        let full = place == reached && taken && !slots[place].many;
        if place < reached || full {
            let order: Vec<String> = slots.iter().map(|slot| slot.names.join("|")).collect();
            let order = order.join(", ").replace("comment|", "changes|comment|");
            return Err(LoadError::Misplaced {
                at: Location { file: file.to_owned(), line: child.line, changeset: named(parent) }.into(),
                name: child.name.clone(),
                parent: parent.name.clone(),
                order,
            });
        }
        (reached, taken) = (place, true);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::xml;

    fn checked(body: &str) -> Result<(), String> {
        let text = format!("<databaseChangeLog>{body}</databaseChangeLog>");
        xml::parse("a.xml", &text).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn order_is_that_of_the_schema() {
        let set = |inner: &str| format!("<changeSet id='1' author='a'>{inner}</changeSet>");
        let change = "<createTable tableName='t'/>";
        for good in [
            String::new(),
            format!("<property/><preConditions/>{}", set("")),
            set(&format!(
                "<validCheckSum/><validCheckSum/><preConditions/><comment/>{change}<rollback/>{change}<modifySql/>"
            )),
            set("<tagDatabase tag='x'/>"),
        ] {
            assert_eq!(checked(&good), Ok(()), "{good}");
        }
        for bad in [
            format!("{}<property/>", set("")),
            "<preConditions/><preConditions/>".to_owned(),
            set(&format!("{change}<preConditions/>")),
            set("<comment/><validCheckSum/>"),
            set("<preConditions/><validCheckSum/>"),
            set("<modifySql/><rollback/>"),
            set(&format!("{change}<tagDatabase tag='x'/>")),
            set("<tagDatabase tag='x'/><comment/>"),
        ] {
            assert!(checked(&bad).is_err_and(|error| error.contains("cannot stand here")), "{bad}");
        }
    }

    #[test]
    fn what_is_required_is_asked_for() {
        for (bad, name) in [
            ("<changeSet id='1'/>", "author"),
            ("<include/>", "file"),
            ("<changeSet id='1' author='a'><addColumn/></changeSet>", "tableName"),
            ("<changeSet id='1' author='a'><rollback><tagDatabase/></rollback></changeSet>", "tag"),
            ("<preConditions><dbms/></preConditions>", "type"),
            ("<preConditions onFail='CONTINUE'/>", "HALT"),
        ] {
            assert!(checked(bad).is_err_and(|error| error.contains(name)), "{bad}");
        }
    }
}
