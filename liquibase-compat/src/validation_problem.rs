//! What validation finds in one changeset. The texts are Liquibase's.

use std::sync::Arc;

use crate::file_content::FileError;
use crate::sql::DataTypeError;

/// A problem of one changeset, because of which it must not run.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ValidationProblem {
    /// The changeset has no id.
    #[error("ChangeSet Id is empty")]
    NoId,
    /// The changeset has no author.
    #[error("ChangeSet Author is empty")]
    NoAuthor,
    /// A change lacks a field.
    #[error("{field} is required")]
    Missing {
        /// The name of the field.
        field: &'static str,
    },
    /// A change lacks a field that its type requires on this database.
    #[error("{field} is required for {change} on postgresql")]
    Required {
        /// The name of the field.
        field: &'static str,
        /// The change type.
        change: &'static str,
    },
    /// A field that a change type requires on this database is an empty text.
    #[error("{field} is empty for {change} on postgresql")]
    Empty {
        /// The name of the field.
        field: &'static str,
        /// The change type.
        change: &'static str,
    },
    /// A change lacks a field, in a message that names the change.
    #[error("{field} is required for {change}")]
    MissingFor {
        /// The name of the field.
        field: &'static str,
        /// The change type.
        change: &'static str,
    },
    /// A column of a new table lacks its type or its name.
    #[error("column '{part}' is required for all columns")]
    Column {
        /// What it lacks.
        part: &'static str,
    },
    /// A column of an index lacks its name.
    #[error("column 'name' is required for all columns in an index")]
    IndexColumn,
    /// A change with SQL text lacks that text, or the file with it.
    #[error("'{field}' is required")]
    MissingText {
        /// The name of the field.
        field: &'static str,
    },
    /// A change has no columns.
    #[error("No columns defined for {change} on postgresql")]
    NoColumns {
        /// The change type.
        change: &'static str,
    },
    /// A row to insert or update has no columns.
    #[error("No columns defined for {change}")]
    NoColumnsOfRow {
        /// The change type.
        change: &'static str,
    },
    /// A column lacks its name.
    #[error("column 'name' is required for all columns of {change}")]
    NamelessColumn {
        /// The change type.
        change: &'static str,
    },
    /// PostgreSQL does not have what a field asks for.
    #[error("{field} is not allowed on postgresql")]
    NotAllowed {
        /// The field, by its name in Liquibase's messages.
        field: &'static str,
    },
    /// A file that a change names cannot be used.
    #[error(transparent)]
    File(#[from] Arc<FileError>),
    /// A change names a file and contains the text, too.
    #[error("Cannot specify both 'path' and a nested {text} in {change}")]
    PathAndText {
        /// What the text is.
        text: &'static str,
        /// The change type.
        change: &'static str,
    },
    /// `createProcedure` has neither a file nor the text.
    #[error("Must specify either 'path' or a nested procedure text in createProcedure")]
    NoProcedure,
    /// `createView` has neither a file nor the query.
    #[error("For a createView change, you must specify either 'path' or a nested view definition in createView")]
    NoView,
    /// `addDefaultValue` has several defaults.
    #[error("Only one defaultValue* value can be specified")]
    SeveralDefaults,
    /// The default of `addDefaultValue` is not of the type that it names.
    #[error("Default value of {value} does not match defined type of {data_type}")]
    DefaultOfOtherType {
        /// The default, as Liquibase prints it.
        value: String,
        /// The type in the changelog.
        data_type: String,
    },
    /// A column of `createTable` refers to another table without naming the foreign key.
    #[error("createTable with references requires foreignKeyName")]
    NoForeignKeyName,
    /// A clustered primary key needs a name.
    #[error("Postgresql requires constraintName on addPrimaryKey when clustered=true")]
    NoClusteredKeyName,
    /// `update` or `delete` has parameters of a condition, and no condition.
    #[error("whereParams set but no whereClause")]
    NoWhere,
    /// The type of a column cannot be read. Liquibase ends with this message alone.
    #[error(transparent)]
    DataType(#[from] DataTypeError),
    /// A `customChange` would run Java.
    #[error(
        "customChange {class} is not supported: it would run a Java class; write it as sql, or run it with Liquibase first"
    )]
    CustomChange {
        /// The Java class.
        class: String,
    },
    /// An `executeCommand` would run a program.
    #[error(
        "executeCommand is not supported: it would run a program; write it as sql, or run it apart and mark the changeset as run"
    )]
    ExecuteCommand,
}
