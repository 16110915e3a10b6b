//! renameColumn; its remarks are of no use to PostgreSQL.

use super::{ALL_FIELDS, Kind, Statements, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "renameColumn",
    class: "RenameColumnChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnDataType"),
        Field::text("newColumnName").required(),
        Field::text("oldColumnName").required(),
        Field::text("remarks"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse,
};

fn renamed(fields: &Object, dialect: &Dialect, from: &str, to: &str) -> String {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    let (from, to) = (dialect.name(fields.required(from)), dialect.name(fields.required(to)));
    format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}")
}

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    vec![renamed(fields, dialect, "oldColumnName", "newColumnName")]
}

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![renamed(fields, dialect, "newColumnName", "oldColumnName")])
}
