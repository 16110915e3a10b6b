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

/// The only elements in some elements. The reader also knows settings as elements, as YAML and JSON have them.
const CHILDREN: &[(&str, &[&str])] = &[
    ("createProcedure", &["comment"]),
    ("customPrecondition", &["param"]),
    ("delete", &["where", "whereParams"]),
    ("insert", &["column"]),
    ("modifySql", &["append", "prepend", "regExpReplace", "replace"]),
    ("sql", &["comment"]),
    ("sqlCheck", &[]),
    ("update", &["column", "where", "whereParams"]),
    ("whereParams", &["param"]),
];

/// Elements whose children stand in the order of [`CHILDREN`].
const ORDERED: &[&str] = &["delete", "update"];

/// Attributes that the reader knows from other syntaxes, and the schema does not have.
const UNKNOWN_ATTRIBUTES: &[(&str, &[&str])] =
    &[("output", &["message"]), ("preConditions", &["onUpdateSQL"]), ("stop", &["message"])];

/// The only attributes of a column of `loadData` and `loadUpdateData`.
const LOADED_COLUMN: &[&str] = &[
    "index",
    "header",
    "name",
    "type",
    "defaultValue",
    "defaultValueBoolean",
    "defaultValueComputed",
    "defaultValueDate",
    "defaultValueNumeric",
];

/// Attributes that only a column of `addColumn` has.
const ADDED_COLUMN: &[&str] = &["afterColumn", "beforeColumn", "position"];

/// Elements outside of changes that may have attributes of another namespace.
const OPEN_ELEMENTS: &[&str] = &["databaseChangeLog", "changeSet", "include", "includeAll", "property"];

/// Changes that must not have attributes of another namespace.
const CLOSED_CHANGES: &[&str] = &[
    "comment",
    "customChange",
    "delete",
    "loadUpdateData",
    "output",
    "rollback",
    "setColumnRemarks",
    "setTableRemarks",
    "tagDatabase",
];

/// Elements of a changeset that are no changes.
const NO_CHANGES: &[&str] = &["modifySql", "preConditions", "validCheckSum"];

/// Attributes that the schema allows, and Liquibase does not read.
const IGNORED_ATTRIBUTES: &[(&str, &[&str])] = &[
    ("alterSequence", &["startValue"]),
    (
        "dropSequence",
        &["cacheSize", "cycle", "dataType", "incrementBy", "maxValue", "minValue", "ordered", "startValue"],
    ),
];

/// Elements whose text Liquibase does not read.
const IGNORED_TEXTS: &[&str] = &["delete", "loadData", "loadUpdateData", "update"];

/// Removes what the schema allows, and Liquibase does not read.
pub(super) fn remove_ignored(node: &mut Node) {
    node.children.iter_mut().for_each(remove_ignored);
    if let Some((_, ignored)) = IGNORED_ATTRIBUTES.iter().find(|(name, _)| *name == node.name) {
        node.attributes.retain(|(name, _)| !ignored.contains(&name.as_str()));
    }
    if IGNORED_TEXTS.contains(&node.name.as_str()) {
        node.text = None;
    }
    if node.name == "createProcedure" {
        node.children.retain(|child| child.name != "comment");
    }
}

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
    /// The name of an attribute of another namespace than that of `xsi:schemaLocation`.
    pub(super) foreign_attribute: Option<&'a str>,
}

impl Content<'_> {
    /// The violation of the schema, if there is one.
    pub(super) fn problem(&self) -> Option<ContentProblem> {
        let Self { parent, node, text, .. } = *self;
        let name = node.name.as_str();
        let is_loaded_column = name == "column" && matches!(parent, "loadData" | "loadUpdateData");
        let is_parameter = name == "param" && parent != "customChange";
        if let Some(found) = self.foreign_attribute.filter(|_| !self.is_open()) {
            let found = format!("the attribute '{found}' of another namespace");
            return Some(ContentProblem { found, allowed: "the attributes of its schema" });
        }
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
            let empty = || node.children.is_empty().then(|| "no element".to_owned());
            let found = attribute().or_else(empty);
            return found.map(|found| ContentProblem { found, allowed: "<param>" }).or_else(|| self.child_problem());
        }
        if name == "validCheckSum" {
            let other = node.children.iter().find(|child| child.name != "comment");
            let found = other.map(|other| format!("<{}>", other.name)).or_else(attribute);
            return found.map(|found| ContentProblem { found, allowed: "text, <comment>" });
        }
        if let Some(problem) = self.child_problem() {
            return Some(problem);
        }
        let has_text = WITHOUT_TEXT.contains(&name) && node.text.is_some();
        let text = has_text.then(|| ContentProblem { found: "text".to_owned(), allowed: "elements" });
        text.or_else(|| self.attribute_problem())
    }

    /// Whether it may have attributes of another namespace. In `delete` the schema does not say what a `where` is.
    fn is_open(&self) -> bool {
        let name = self.node.name.as_str();
        match self.parent {
            "changeSet" | "rollback" => !CLOSED_CHANGES.contains(&name) && !NO_CHANGES.contains(&name),
            "delete" => name == "where",
            _ => OPEN_ELEMENTS.contains(&name),
        }
    }

    /// An element in it that the schema does not have there, or not at that position.
    fn child_problem(&self) -> Option<ContentProblem> {
        let node = self.node;
        let (_, known) = CHILDREN.iter().find(|(name, _)| *name == node.name)?;
        let position = |child: &Node| known.iter().position(|name| *name == child.name);
        let is_ordered = ORDERED.contains(&node.name.as_str());
        let mut last = 0;
        for child in &node.children {
            match position(child) {
                Some(found) if !is_ordered || found >= last => last = found,
                _ => {
                    let found = format!("<{}>", child.name);
                    return Some(ContentProblem { found, allowed: "the elements of its schema, in their order" });
                }
            }
        }
        None
    }

    fn attribute_problem(&self) -> Option<ContentProblem> {
        let Self { parent, node, .. } = *self;
        let is_column = node.name == "column";
        let is_unknown = |attribute: &str| match parent {
            "loadData" if is_column => !LOADED_COLUMN.contains(&attribute),
            "loadUpdateData" if is_column => attribute != "allowUpdate" && !LOADED_COLUMN.contains(&attribute),
            "customPrecondition" => !matches!(attribute, "name" | "value"),
            _ if is_column && parent != "addColumn" => ADDED_COLUMN.contains(&attribute),
            _ => UNKNOWN_ATTRIBUTES.iter().any(|(name, names)| *name == node.name && names.contains(&attribute)),
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
