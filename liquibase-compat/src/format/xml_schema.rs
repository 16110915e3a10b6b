//! Checks an XML changelog by the rules of Liquibase's schema.
//!
//! A file that violates the schema is refused as a whole, before anything runs: for elements in the wrong order, missing attributes and
//! columns, and values that are no boolean, no number or not one of some words. Unknown names are refused later, when an element is read.

use crate::load_error::{LoadError, Location};
use crate::node::Node;

/// One position in the order of an element's children.
struct Slot {
    names: &'static [&'static str],
    /// Several elements may have this position.
    is_repeatable: bool,
}

const fn many(names: &'static [&'static str]) -> Slot {
    Slot { names, is_repeatable: true }
}

const fn one(names: &'static [&'static str]) -> Slot {
    Slot { names, is_repeatable: false }
}

/// The order of elements in a changelog.
const CHANGELOG_ORDER: &[Slot] = &[
    many(&["removeChangeSetProperty"]),
    many(&["property"]),
    one(&["preConditions"]),
    many(&["changeSet", "include", "includeAll", "modifyChangeSets"]),
];

/// The order of elements in a changeset. All other elements are changes, which share a slot with `comment` and `rollback`.
const CHANGESET_ORDER: &[Slot] =
    &[many(&["validCheckSum"]), one(&["preConditions"]), many(&["comment", "rollback"]), many(&["modifySql"])];

/// The slot of changes in [`CHANGESET_ORDER`].
const CHANGE_SLOT: usize = 2;

/// The required attributes of elements. Elements that only require `tableName` are in [`TABLE_NAME_REQUIRED`].
const REQUIRED_ATTRIBUTES: &[(&str, &[&str])] = &[
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
    ("customPrecondition", &["className"]),
];

/// Elements that require `tableName` and no other attribute.
const TABLE_NAME_REQUIRED: &[&str] = &[
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

/// Elements that require a `<column>`.
const COLUMN_REQUIRED: &[&str] = &["addColumn", "insert", "update"];

/// What the values of an attribute must be. The blanks around the values of the first four kinds have no meaning.
enum Values {
    Boolean,
    /// A boolean where a property is not allowed.
    PlainBoolean,
    Integer,
    /// A whole number of 64 bits, also where a property is not allowed.
    Number,
    /// The name of an encoding.
    Token,
    /// One of some phrases.
    Phrases(&'static [&'static str]),
    /// One of some words, exactly as written.
    Words(&'static [&'static str]),
}

/// What happens to the rows that refer to one that is deleted or updated.
const CASCADE_ACTIONS: Values = Values::Phrases(&["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"]);

/// The attributes whose values are checked, and the elements in which, or inside which, they may have any value.
const CHECKED_VALUES: &[(&[&str], Values, &[&str])] = &[
    (
        &[
            "allowUpdate",
            "applyToRollback",
            "autoIncrement",
            "cascadeConstraints",
            "clustered",
            "computed",
            "cycle",
            "defaultOnNull",
            "deferrable",
            "deleteCascade",
            "descending",
            "disabled",
            "dropIndex",
            "errorIfMissing",
            "errorIfMissingOrEmpty",
            "failOnError",
            "fullDefinition",
            "ifExists",
            "initiallyDeferred",
            "nullable",
            "ordered",
            "referencesUniqueColumn",
            "relativeToChangelogFile",
            "runAlways",
            "runInTransaction",
            "runOnChange",
            "splitStatements",
            "stripComments",
            "unique",
            "usePreparedStatements",
            "validate",
            "validateForeignKey",
            "validateNullable",
            "validatePrimaryKey",
            "validateUnique",
        ],
        Values::Boolean,
        &[],
    ),
    (&["global", "ifNotExists", "onlyUpdate"], Values::PlainBoolean, &[]),
    (&["replaceIfExists"], Values::Boolean, &["createProcedure"]),
    (&["replaceIfExists"], Values::PlainBoolean, &["createView"]),
    (&["encoding"], Values::Token, &["column", "createProcedure", "createView", "sqlFile"]),
    (&["defaultValueBoolean"], Values::Boolean, &["addDefaultValue", "loadData", "loadUpdateData"]),
    (&["ignore"], Values::Boolean, &["include", "includeAll"]),
    (&["primaryKey"], Values::Boolean, &["loadUpdateData"]),
    (&["index", "minDepth", "maxDepth"], Values::Integer, &[]),
    (&["expectedRows", "position"], Values::Number, &[]),
    (&["startWith", "incrementBy"], Values::Number, &["createSequence", "alterSequence", "dropSequence"]),
    (&["onDelete", "onUpdate"], CASCADE_ACTIONS, &[]),
    (&["onFail", "onError"], Values::Words(&["HALT", "WARN", "CONTINUE", "MARK_RAN"]), &[]),
    (&["onSqlOutput"], Values::Words(&["TEST", "FAIL", "IGNORE"]), &[]),
    (&["columnParentType"], Values::Words(&["TABLE", "VIEW"]), &[]),
];

impl Values {
    fn contain(&self, value: &str) -> bool {
        let trimmed = value.trim();
        let is_integer = || {
            let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        match self {
            Self::Boolean => matches!(trimmed, "true" | "false" | "1" | "0") || is_property(value),
            Self::PlainBoolean => matches!(trimmed, "true" | "false" | "1" | "0"),
            Self::Integer => is_integer() || is_property(value),
            Self::Number => is_integer() && trimmed.parse::<i64>().is_ok(),
            Self::Token => {
                let is_in_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
                !trimmed.is_empty() && trimmed.chars().all(is_in_name)
            }
            Self::Phrases(phrases) => phrases.contains(&collapsed(value).as_str()),
            Self::Words(words) => words.contains(&value),
        }
    }

    /// Whether their type is a string, of which every blank counts.
    fn are_strings(&self) -> bool {
        matches!(self, Self::Words(_))
    }

    fn description(&self) -> String {
        match self {
            Self::Boolean | Self::PlainBoolean => "true, false".to_owned(),
            Self::Token => "the name of an encoding".to_owned(),
            Self::Integer | Self::Number => "a whole number".to_owned(),
            Self::Phrases(words) | Self::Words(words) => words.join(", "),
        }
    }
}

/// Replaces each run of blanks with one, and removes those at both ends.
fn collapsed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the values of an attribute of an element must be, if that is checked.
fn checked_values(parent: &str, element: &str, attribute: &str) -> Option<&'static Values> {
    let is_checked = |(names, _, exceptions): &&(&[&str], Values, &[&str])| {
        names.contains(&attribute) && !exceptions.contains(&element) && !exceptions.contains(&parent)
    };
    CHECKED_VALUES.iter().find(is_checked).map(|(_, values, _)| values)
}

/// Collapses the blanks in the values of all attributes whose type is not a string. The parser of Liquibase does so by the schema, and
/// checksums are computed from the result.
pub(super) fn collapse_blanks(node: &mut Node, parent: &str) {
    for (name, value) in &mut node.attributes {
        let is_token = || checked_values(parent, &node.name, name).is_some_and(|values| !values.are_strings());
        if !value.contains(|c: char| c.is_ascii_whitespace()) || !is_token() {
            continue;
        }
        // A property is a string for the schema.
        let short = collapsed(value);
        if !is_property(&short) {
            *value = short;
        }
    }
    let name = &node.name;
    node.children.iter_mut().for_each(|child| collapse_blanks(child, name));
}

/// Whether a value is one property, `${name}`.
fn is_property(value: &str) -> bool {
    let name = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.')))
}

/// Checks a changelog file.
///
/// # Errors
/// The first violation.
pub(super) fn check(file: &str, root: &Node) -> Result<(), LoadError> {
    if root.name != "databaseChangeLog" {
        return Ok(());
    }
    check_order(file, root, CHANGELOG_ORDER, None)?;
    for child in &root.children {
        let at = |line| Location { file: file.to_owned(), line, changeset: changeset_name(child) };
        check_required(child, &root.name, &at)?;
        match child.name.as_str() {
            "changeSet" => check_changeset(file, child, &at)?,
            "preConditions" => check_global_preconditions(child, &at)?,
            "modifyChangeSets" => check_tree(child, &root.name, &at)?,
            _ => {}
        }
    }
    Ok(())
}

fn changeset_name(node: &Node) -> Option<String> {
    let set = node.name == "changeSet";
    set.then(|| Some(format!("{}::{}", node.attribute("id")?, node.attribute("author")?))).flatten()
}

fn check_changeset(file: &str, set: &Node, at: &dyn Fn(u32) -> Location) -> Result<(), LoadError> {
    check_order(file, set, CHANGESET_ORDER, Some(CHANGE_SLOT))?;
    for child in &set.children {
        check_tree(child, &set.name, at)?;
        if child.name == "rollback"
            && let Some(tag) = child.children.iter().find(|change| change.name == "tagDatabase")
        {
            return Err(LoadError::Misplaced {
                at: at(tag.line).into(),
                name: tag.name.clone(),
                parent: child.name.clone(),
                order: "comment, and any changes but tagDatabase".to_owned(),
            });
        }
        // In the schema a tag is an alternative to all changes, comments and rollbacks.
        if child.name == "tagDatabase"
            && set.children.iter().filter(|other| slot(CHANGESET_ORDER, other) == CHANGE_SLOT).count() > 1
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

/// Checks the required attributes of an element and of all elements below it.
fn check_tree(node: &Node, parent: &str, at: &dyn Fn(u32) -> Location) -> Result<(), LoadError> {
    check_required(node, parent, at)?;
    for child in &node.children {
        let required: &[&str] = match (node.name.as_str(), child.name.as_str()) {
            ("loadData" | "loadUpdateData", "column") => &[],
            (_, "column") => &["name"],
            ("customPrecondition", "param") => &["name", "value"],
            _ => &[],
        };
        if let Some(name) = required.iter().find(|name| child.attribute(name).is_none()) {
            let (element, name) = (child.name.clone(), (*name).to_owned());
            return Err(LoadError::Missing { at: at(child.line).into(), element, name });
        }
        check_tree(child, &node.name, at)?;
    }
    Ok(())
}

fn check_required(node: &Node, parent: &str, at: &dyn Fn(u32) -> Location) -> Result<(), LoadError> {
    let found = REQUIRED_ATTRIBUTES.iter().find(|(name, _)| *name == node.name).map(|(_, attributes)| *attributes);
    let required: &[&str] =
        found.unwrap_or(if TABLE_NAME_REQUIRED.contains(&node.name.as_str()) { &["tableName"] } else { &[] });
    let attribute = required.iter().find(|name| node.attribute(name).is_none());
    let column =
        COLUMN_REQUIRED.contains(&node.name.as_str()) && node.children.iter().all(|child| child.name != "column");
    if let Some(name) = attribute.or(column.then_some(&"column")) {
        let (element, name) = (node.name.clone(), (*name).to_owned());
        return Err(LoadError::Missing { at: at(node.line).into(), element, name });
    }
    node.attributes.iter().try_for_each(|(name, value)| match checked_values(parent, &node.name, name) {
        Some(values) if !values.contain(value) => Err(LoadError::BadValue {
            at: at(node.line).into(),
            element: node.name.clone(),
            name: name.clone(),
            value: value.clone(),
            allowed: values.description(),
        }),
        _ => Ok(()),
    })
}

/// The preconditions of a changelog cannot skip it or mark it as run.
fn check_global_preconditions(node: &Node, at: &dyn Fn(u32) -> Location) -> Result<(), LoadError> {
    check_tree(node, "databaseChangeLog", at)?;
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

/// The slot of an element. An element without a slot is a change.
fn slot(slots: &[Slot], node: &Node) -> usize {
    slots.iter().position(|slot| slot.names.contains(&node.name.as_str())).unwrap_or(CHANGE_SLOT)
}

fn check_order(file: &str, parent: &Node, slots: &[Slot], others: Option<usize>) -> Result<(), LoadError> {
    let mut reached = 0;
    let mut taken = false;
    for child in &parent.children {
        let known = slots.iter().position(|slot| slot.names.contains(&child.name.as_str())).or(others);
        // An unknown element is refused later, when it is read.
        let Some(index) = known else { continue };
        let is_full = index == reached && taken && !slots[index].is_repeatable;
        if index < reached || is_full {
            let order: Vec<String> = slots.iter().map(|slot| slot.names.join("|")).collect();
            let order = order.join(", ").replace("comment|", "changes|comment|");
            return Err(LoadError::Misplaced {
                at: Location { file: file.to_owned(), line: child.line, changeset: changeset_name(parent) }.into(),
                name: child.name.clone(),
                parent: parent.name.clone(),
                order,
            });
        }
        (reached, taken) = (index, true);
    }
    Ok(())
}
