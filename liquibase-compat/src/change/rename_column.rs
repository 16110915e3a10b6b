//! renameColumn: PostgreSQL does not need the remarks.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
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
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn renamed(fields: &Fields, dialect: &Dialect, from: &str, to: &str) -> String {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    let (from, to) = (dialect.name(fields.required(from)), dialect.name(fields.required(to)));
    format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}")
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    vec![renamed(fields, dialect, "oldColumnName", "newColumnName")]
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![renamed(fields, dialect, "newColumnName", "oldColumnName")])
}
