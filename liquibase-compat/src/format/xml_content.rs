//! Checks what stands inside the elements of an XML changelog, by the rules of Liquibase's schema.
//!
//! An element that has attributes only must be empty: no text, not even a blank. An element that has elements only may have blanks between
//! them. What other elements may contain is checked when they are read.

use crate::node::Node;

/// Elements with attributes only.
const EMPTY: &[&str] = &[
    "addAutoIncrement",
    "addDefaultValue",
    "addForeignKeyConstraint",
    "addLookupTable",
    "addNotNullConstraint",
    "alterSequence",
    "append",
    "arg",
    "changeLogPropertyDefined",
    "changeSetExecuted",
    "columnExists",
    "constraints",
    "createSequence",
    "dbms",
    "dropAllForeignKeyConstraints",
    "dropDefaultValue",
    "dropForeignKeyConstraint",
    "dropIndex",
    "dropNotNullConstraint",
    "dropPrimaryKey",
    "dropProcedure",
    "dropSequence",
    "dropTable",
    "dropUniqueConstraint",
    "dropView",
    "empty",
    "expectedQuotingStrategy",
    "foreignKeyConstraintExists",
    "include",
    "includeAll",
    "indexExists",
    "mergeColumns",
    "modifyDataType",
    "prepend",
    "primaryKeyExists",
    "property",
    "regExpReplace",
    "removeChangeSetProperty",
    "renameColumn",
    "renameSequence",
    "renameTable",
    "renameView",
    "replace",
    "rowCount",
    "runningAs",
    "sequenceExists",
    "setColumnRemarks",
    "setTableRemarks",
    "sqlFile",
    "tableExists",
    "tableIsEmpty",
    "tagDatabase",
    "uniqueConstraintExists",
    "viewExists",
];

/// Elements with attributes and elements only.
const WITHOUT_TEXT: &[&str] = &[
    "addColumn",
    "addPrimaryKey",
    "addUniqueConstraint",
    "and",
    "changeSet",
    "createIndex",
    "createTable",
    "customChange",
    "customPrecondition",
    "databaseChangeLog",
    "dropColumn",
    "executeCommand",
    "insert",
    "modifyChangeSets",
    "modifySql",
    "not",
    "or",
    "preConditions",
];

/// Attributes that the reader knows from other syntaxes, and the schema does not have: the parent, the element, the attributes.
const UNKNOWN_ATTRIBUTES: &[(Option<&str>, &str, &[&str])] = &[
    (None, "preConditions", &["onUpdateSQL"]),
    (None, "stop", &["message"]),
    (Some("loadData"), "column", LOADED_COLUMN),
    (Some("loadUpdateData"), "column", LOADED_COLUMN),
];

const LOADED_COLUMN: &[&str] = &["autoIncrement", "defaultValueSequenceNext", "defaultValueSequenceCurrent"];

/// Attributes that must not be empty, nor begin with a blank other than a tab.
const FILLED_ATTRIBUTES: &[(&str, &[&str])] =
    &[("addDefaultValue", &["columnDataType"]), ("loadData", LOAD_TEXTS), ("loadUpdateData", LOAD_TEXTS)];

const LOAD_TEXTS: &[&str] = &["file", "separator", "quotchar", "commentLineStartsWith"];

/// The versions of the schema in which all attributes may be empty.
const SCHEMAS_WITH_EMPTY_ATTRIBUTES: &[&str] = &["-1.", "-2.", "-3.", "-4.0.xsd", "-4.1.xsd", "-4.2.xsd", "-4.3.xsd"];

/// Whether the schema that a document names allows empty attributes.
pub(super) fn allows_empty_attributes(schema_location: &str) -> bool {
    let schema = schema_location.rsplit("dbchangelog").next().unwrap_or_default();
    SCHEMAS_WITH_EMPTY_ATTRIBUTES.iter().any(|start| schema.starts_with(start))
}

/// What is wrong with the content of an element, and what is allowed instead.
pub(super) struct ContentProblem {
    pub(super) found: String,
    pub(super) allowed: &'static str,
}

/// The content of an element.
pub(super) struct Content<'a> {
    /// The name of the element around it.
    pub(super) parent: &'a str,
    pub(super) node: &'a Node,
    /// The text, with its blanks.
    pub(super) text: &'a str,
    pub(super) allows_empty_attributes: bool,
}

impl Content<'_> {
    /// The violation of the schema, if there is one.
    pub(super) fn problem(&self) -> Option<ContentProblem> {
        let Self { parent, node, text, .. } = *self;
        let name = node.name.as_str();
        let is_loaded_column = name == "column" && matches!(parent, "loadData" | "loadUpdateData");
        let is_parameter = name == "param" && parent != "customChange";
        let child = || node.children.first().map(|child| format!("<{}>", child.name));
        let attribute = || node.attributes.first().map(|(attribute, _)| format!("the attribute '{attribute}'"));
        if EMPTY.contains(&name) || is_loaded_column || is_parameter {
            let found = child().or_else(|| (!text.is_empty()).then(|| "text or blanks".to_owned()));
            return found
                .map(|found| ContentProblem { found, allowed: "nothing" })
                .or_else(|| self.attribute_problem());
        }
        let is_text_only = name == "comment" || (name == "where" && parent == "update");
        if is_text_only {
            return attribute().or_else(child).map(|found| ContentProblem { found, allowed: "text" });
        }
        if name == "whereParams" {
            return attribute().map(|found| ContentProblem { found, allowed: "<param>" });
        }
        if name == "validCheckSum" {
            let other = node.children.iter().find(|child| child.name != "comment");
            return other
                .map(|other| ContentProblem { found: format!("<{}>", other.name), allowed: "text, <comment>" });
        }
        let has_text = WITHOUT_TEXT.contains(&name) && node.text.is_some();
        let text = has_text.then(|| ContentProblem { found: "text".to_owned(), allowed: "elements" });
        text.or_else(|| self.attribute_problem())
    }

    fn attribute_problem(&self) -> Option<ContentProblem> {
        let Self { parent, node, .. } = *self;
        let is_unknown = |attribute: &str| {
            UNKNOWN_ATTRIBUTES.iter().any(|(of, element, names)| {
                of.is_none_or(|of| of == parent) && *element == node.name && names.contains(&attribute)
            })
        };
        let filled = FILLED_ATTRIBUTES.iter().find(|(name, _)| *name == node.name && !self.allows_empty_attributes);
        let is_empty = |attribute: &str, value: &str| {
            filled.is_some_and(|(_, names)| names.contains(&attribute))
                && !value.starts_with(|c: char| c == '\t' || !c.is_ascii_whitespace())
        };
        node.attributes.iter().find_map(|(attribute, value)| {
            if is_unknown(attribute) {
                let found = format!("the attribute '{attribute}'");
                return Some(ContentProblem { found, allowed: "the attributes of its schema" });
            }
            let found = || format!("'{value}' as {attribute}");
            is_empty(attribute, value).then(|| ContentProblem { found: found(), allowed: "a text that is not empty" })
        })
    }
}
