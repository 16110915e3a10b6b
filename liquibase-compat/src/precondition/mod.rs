//! Preconditions: what must hold on the database before a changelog or a changeset runs.
//!
//! This file reads them into a tree; `check.rs` checks them on a database.

pub(crate) mod check;
pub(crate) mod lookup;

use std::borrow::Cow;

use crate::changeset_id::ChangeSetId;
use crate::load_error::{LoadError, Location};
use crate::node::Node;
use crate::path;
use crate::scalar::whole_number;
use crate::sql::Quoting;

/// System properties that every JVM has. Liquibase counts them as properties of a changelog; here they are defined, without a value.
const JVM_PROPERTIES: &[&str] = &[
    "file.encoding",
    "file.separator",
    "java.home",
    "java.io.tmpdir",
    "java.vendor",
    "java.version",
    "line.separator",
    "os.arch",
    "os.name",
    "os.version",
    "path.separator",
    "user.dir",
    "user.home",
    "user.name",
];

/// What happens to the run when preconditions do not hold, or cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consequence {
    Halt,
    Continue,
    MarkRan,
    Warn,
}

/// What a script contains for a changeset with preconditions, which cannot be checked in a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SqlOutput {
    /// The changeset, as if they held.
    Ignore,
    /// They are checked on the database as it is now.
    Test,
    /// The command fails.
    Fail,
}

/// A `<preConditions>` element.
#[derive(Debug, Clone)]
pub(crate) struct Preconditions {
    pub(crate) on_fail: Consequence,
    pub(crate) on_error: Consequence,
    pub(crate) on_fail_message: Option<String>,
    pub(crate) on_error_message: Option<String>,
    pub(crate) sql_output: SqlOutput,
    /// The changelog that includes all others: messages name it, and it is the one that `changeSetExecuted` means without a file.
    pub(crate) file: String,
    /// All must hold.
    pub(crate) conditions: Vec<Condition>,
}

/// One condition.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    /// Each of these must fail.
    Not(Vec<Condition>),
    Dbms(String),
    RunningAs(String),
    ChangeSetExecuted(ChangeSetId),
    /// A table, view or sequence.
    Relation {
        kind: RelationKind,
        schema: Option<String>,
        name: String,
    },
    Column {
        schema: Option<String>,
        table: String,
        column: String,
    },
    Index {
        schema: Option<String>,
        table: Option<String>,
        index: Option<String>,
        columns: Option<String>,
    },
    /// A primary key, foreign key or unique constraint.
    Constraint {
        kind: ConstraintKind,
        schema: Option<String>,
        table: Option<String>,
        name: Option<String>,
        columns: Option<String>,
    },
    RowCount {
        schema: Option<String>,
        table: String,
        expected: String,
    },
    TableIsEmpty {
        schema: Option<String>,
        table: String,
    },
    Sql {
        sql: String,
        expected: String,
    },
    /// Decided when the changelog was read.
    Property {
        holds: bool,
        message: String,
    },
    QuotingStrategy {
        expected: String,
        /// Whether it is that of the main changelog; that of the changeset does not count.
        holds: bool,
    },
    /// A Java class.
    Custom(String),
}

/// The kinds of relations that a precondition can require.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelationKind {
    Table,
    View,
    Sequence,
}

/// The kinds of constraints that a precondition can require.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConstraintKind {
    PrimaryKey,
    ForeignKey,
    Unique,
}

impl Condition {
    /// Whether a check neither runs SQL of the changelog nor reads its tables.
    fn only_reads_catalogs(&self) -> bool {
        !matches!(self, Self::RowCount { .. } | Self::TableIsEmpty { .. } | Self::Sql { .. })
    }

    /// The conditions that this one consists of.
    fn leaves(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::And(inner) | Self::Or(inner) | Self::Not(inner) => Box::new(inner.iter().flat_map(Self::leaves)),
            leaf => Box::new(std::iter::once(leaf)),
        }
    }
}

impl Preconditions {
    /// Whether all conditions that do not consist of others are of a kind.
    pub(crate) fn all_leaves(&self, is_of_kind: impl Fn(&Condition) -> bool) -> bool {
        self.conditions.iter().flat_map(Condition::leaves).all(is_of_kind)
    }

    /// Whether a check cannot have side effects, so that it needs no transaction to roll back.
    pub(crate) fn only_read_catalogs(&self) -> bool {
        self.all_leaves(Condition::only_reads_catalogs)
    }

    /// Whether a check sends at most one query.
    pub(crate) fn is_one_query(&self) -> bool {
        self.conditions.iter().flat_map(Condition::leaves).count() <= 1
    }

    /// Whether they are checked when a script is made.
    pub(crate) fn is_checked_in_script(&self) -> bool {
        self.sql_output != SqlOutput::Ignore
    }

    /// Reads a `<preConditions>` element; `property` looks up `${}` names.
    ///
    /// # Errors
    /// When a condition is unknown or lacks an attribute.
    pub(crate) fn read<'p>(
        node: &Node,
        at: &Location,
        main: &MainChangelog,
        property: &dyn Fn(&str) -> Option<Cow<'p, str>>,
    ) -> Result<Self, LoadError> {
        let reader = Reader { at: Location { line: node.line, ..at.clone() }, main, property };
        match node.lenient {
            true => node.check_repeated(at, OUTCOMES.iter().copied())?,
            false => node.check_attributes(at, OUTCOMES)?,
        }
        Ok(Self {
            file: main.file.clone(),
            sql_output: reader.sql_output(node)?,
            on_fail: reader.consequence(node, "onFail")?,
            on_error: reader.consequence(node, "onError")?,
            on_fail_message: node.attribute("onFailMessage").map(str::to_owned),
            on_error_message: node.attribute("onErrorMessage").map(str::to_owned),
            conditions: reader.conditions(node)?,
        })
    }
}

/// The attributes of `<preConditions>`.
const OUTCOMES: &[&str] = &["onFail", "onError", "onSqlOutput", "onUpdateSQL", "onFailMessage", "onErrorMessage"];

/// The attributes of each condition.
const CONDITIONS: &[(&str, &[&str])] = &[
    ("not", &[]),
    ("and", &[]),
    ("or", &[]),
    ("dbms", &["type"]),
    ("runningAs", &["username"]),
    ("changeSetExecuted", &["id", "author", "changeLogFile"]),
    ("tableExists", &["tableName", "schemaName", "catalogName"]),
    ("viewExists", &["viewName", "schemaName", "catalogName"]),
    ("sequenceExists", &["sequenceName", "schemaName", "catalogName"]),
    ("columnExists", &["tableName", "columnName", "schemaName", "catalogName"]),
    ("indexExists", &["indexName", "tableName", "columnNames", "schemaName", "catalogName"]),
    ("primaryKeyExists", &["primaryKeyName", "tableName", "schemaName", "catalogName"]),
    (
        "foreignKeyConstraintExists",
        &["foreignKeyName", "foreignKeyTableName", "foreignKeyTableSchemaName", "schemaName", "catalogName"],
    ),
    ("uniqueConstraintExists", &["constraintName", "tableName", "columnNames", "schemaName", "catalogName"]),
    ("rowCount", &["tableName", "expectedRows", "schemaName", "catalogName"]),
    ("tableIsEmpty", &["tableName", "schemaName", "catalogName"]),
    ("sqlCheck", &["expectedResult", "sql"]),
    ("changeLogPropertyDefined", &["property", "value"]),
    ("expectedQuotingStrategy", &["strategy"]),
    ("customPrecondition", &["className", "param"]),
];

/// The changelog that includes all others, as far as conditions depend on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MainChangelog {
    /// The path that the history stores for its changesets.
    pub(crate) file: String,
    /// Its quoting strategy. The schema gives one to each file in XML; one in YAML or JSON may have none.
    pub(crate) quoting: Option<Quoting>,
}

/// Reads conditions at one place of a changelog.
struct Reader<'a, 'p> {
    at: Location,
    main: &'a MainChangelog,
    property: &'a dyn Fn(&str) -> Option<Cow<'p, str>>,
}

impl Reader<'_, '_> {
    fn consequence(&self, node: &Node, name: &str) -> Result<Consequence, LoadError> {
        let known = [
            ("HALT", Consequence::Halt),
            ("CONTINUE", Consequence::Continue),
            ("MARK_RAN", Consequence::MarkRan),
            ("WARN", Consequence::Warn),
        ];
        Ok(self.one_of(node, name, &known)?.unwrap_or(Consequence::Halt))
    }

    fn sql_output(&self, node: &Node) -> Result<SqlOutput, LoadError> {
        let known = [("IGNORE", SqlOutput::Ignore), ("TEST", SqlOutput::Test), ("FAIL", SqlOutput::Fail)];
        let given = self.one_of(node, "onSqlOutput", &known)?;
        let older = self.one_of(node, "onUpdateSQL", &known)?;
        Ok(given.or(older).unwrap_or(SqlOutput::Ignore))
    }

    /// The value of an attribute that allows only the `known` ones. In formatted SQL case does not matter; the schema checks that of XML. In
    /// YAML and JSON it matters for `onFail` alone, whose setter in Java takes no text, if its name is written exactly.
    fn one_of<T: Copy>(&self, node: &Node, name: &str, known: &[(&str, T)]) -> Result<Option<T>, LoadError> {
        let is_filled = |(key, value): &&(String, String)| node.is_called(key, name) && !value.is_empty();
        let Some((key, written)) = node.attributes.iter().find(is_filled) else {
            return Ok(None);
        };
        let is_exact = node.lenient && name == "onFail" && key == name;
        let is_same = |word: &str| word == written || (!is_exact && word.eq_ignore_ascii_case(written));
        match known.iter().find(|(word, _)| is_same(word)) {
            Some((_, value)) => Ok(Some(*value)),
            None => Err(self.bad_value(node, name, written, known.iter().map(|(word, _)| *word))),
        }
    }

    fn bad_value<'k>(&self, node: &Node, name: &str, value: &str, allowed: impl Iterator<Item = &'k str>) -> LoadError {
        LoadError::BadValue {
            at: self.at.clone().into(),
            element: node.name.clone(),
            name: name.to_owned(),
            value: value.to_owned(),
            allowed: allowed.collect::<Vec<_>>().join(", "),
        }
    }

    /// A number of rows.
    fn row_count(&self, node: &Node, written: &str) -> Result<String, LoadError> {
        whole_number(written)
            .ok_or_else(|| self.bad_value(node, "expectedRows", written, ["a whole number"].into_iter()))
    }

    /// The name of a quoting strategy.
    fn strategy(&self, node: &Node, written: String) -> Result<Condition, LoadError> {
        match Quoting::named(&written) {
            strategy @ Some(_) => {
                Ok(Condition::QuotingStrategy { expected: written, holds: strategy == self.main.quoting })
            }
            None => {
                let names = [Quoting::Legacy, Quoting::All, Quoting::Reserved].map(Quoting::name);
                Err(self.bad_value(node, "strategy", &written, names.into_iter()))
            }
        }
    }

    fn conditions(&self, node: &Node) -> Result<Vec<Condition>, LoadError> {
        node.children.iter().map(|child| self.condition(child)).collect()
    }

    fn condition(&self, node: &Node) -> Result<Condition, LoadError> {
        let optional = |name: &str| node.attribute(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let needed = |name: &str| {
            optional(name).ok_or_else(|| LoadError::Missing {
                at: Location { line: node.line, ..self.at.clone() }.into(),
                element: node.name.clone(),
                name: name.to_owned(),
            })
        };
        let schema = optional("schemaName");
        if let Some((_, known)) = CONDITIONS.iter().find(|(name, _)| *name == node.name) {
            match known.is_empty() {
                true => node.check_attributes(&self.at, known)?,
                false => node.check_content(&self.at, known)?,
            }
        }
        Ok(match node.name.as_str() {
            "and" => Condition::And(self.conditions(node)?),
            "or" => Condition::Or(self.conditions(node)?),
            "not" => Condition::Not(self.conditions(node)?),
            "dbms" => Condition::Dbms(needed("type")?),
            "runningAs" => Condition::RunningAs(needed("username")?),
            "changeSetExecuted" => Condition::ChangeSetExecuted(ChangeSetId {
                file: path::normalise(&optional("changeLogFile").unwrap_or_else(|| self.main.file.to_owned())),
                id: needed("id")?,
                author: needed("author")?,
            }),
            "tableExists" => Condition::Relation { kind: RelationKind::Table, schema, name: needed("tableName")? },
            "viewExists" => Condition::Relation { kind: RelationKind::View, schema, name: needed("viewName")? },
            "sequenceExists" => {
                Condition::Relation { kind: RelationKind::Sequence, schema, name: needed("sequenceName")? }
            }
            "columnExists" => Condition::Column { schema, table: needed("tableName")?, column: needed("columnName")? },
            "indexExists" => Condition::Index {
                schema,
                table: optional("tableName"),
                index: optional("indexName"),
                columns: optional("columnNames"),
            },
            "primaryKeyExists" => Condition::Constraint {
                kind: ConstraintKind::PrimaryKey,
                schema,
                table: optional("tableName"),
                name: optional("primaryKeyName"),
                columns: None,
            },
            "foreignKeyConstraintExists" => Condition::Constraint {
                kind: ConstraintKind::ForeignKey,
                schema: optional("foreignKeyTableSchemaName").or(schema),
                table: optional("foreignKeyTableName"),
                name: optional("foreignKeyName"),
                columns: None,
            },
            "uniqueConstraintExists" => Condition::Constraint {
                kind: ConstraintKind::Unique,
                schema,
                table: optional("tableName"),
                name: optional("constraintName"),
                columns: optional("columnNames"),
            },
            "rowCount" => {
                let expected = self.row_count(node, &needed("expectedRows")?)?;
                Condition::RowCount { schema, table: needed("tableName")?, expected }
            }
            "tableIsEmpty" => Condition::TableIsEmpty { schema, table: needed("tableName")? },
            "sqlCheck" => Condition::Sql {
                sql: node.text.clone().or_else(|| optional("sql")).unwrap_or_default(),
                expected: match node.attribute("expectedResult") {
                    Some(expected) => expected.to_owned(),
                    None => needed("expectedResult")?,
                },
            },
            "changeLogPropertyDefined" => self.property_condition(&needed("property")?, optional("value").as_deref()),
            "expectedQuotingStrategy" => self.strategy(node, needed("strategy")?)?,
            "customPrecondition" => Condition::Custom(optional("className").unwrap_or_default()),
            // A text that is no condition is an option, or has no meaning.
            other if node.lenient && node.children.is_empty() && node.attributes.is_empty() => {
                tracing::warn!(place = %self.at, name = other, "no precondition of that name; it is left out");
                Condition::And(Vec::new())
            }
            other => return Err(self.unknown(node, other)),
        })
    }

    fn property_condition(&self, name: &str, expected: Option<&str>) -> Condition {
        let value = (self.property)(name);
        let (holds, message) = match (value, expected) {
            (None, None) if JVM_PROPERTIES.contains(&name) => (true, String::new()),
            (None, _) => (false, format!("Changelog property '{name}' was not set")),
            (Some(value), Some(expected)) if *value != *expected => {
                (false, format!("Expected changelog property '{name}' to have a value of '{expected}'. Got '{value}'"))
            }
            _ => (true, String::new()),
        };
        Condition::Property { holds, message }
    }

    fn unknown(&self, node: &Node, name: &str) -> LoadError {
        LoadError::UnknownElement {
            at: Location { line: node.line, ..self.at.clone() }.into(),
            name: name.to_owned(),
            parent: "preConditions".to_owned(),
            known: "and, or, not, dbms, runningAs, changeSetExecuted, tableExists, viewExists, columnExists, \
                    sequenceExists, indexExists, primaryKeyExists, foreignKeyConstraintExists, \
                    uniqueConstraintExists, rowCount, tableIsEmpty, sqlCheck, changeLogPropertyDefined, \
                    expectedQuotingStrategy"
                .to_owned(),
        }
    }
}
