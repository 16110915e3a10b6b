//! dropNotNullConstraint.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropNotNullConstraint",
    class: "DropNotNullConstraintChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnDataType"),
        Field::text("columnName").required(),
        Field::text("constraintName"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn alter(fields: &Fields, dialect: &Dialect, what: &str) -> String {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    format!("ALTER TABLE {table} ALTER COLUMN  {} {what} NOT NULL", dialect.name(fields.required("columnName")))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    vec![alter(fields, dialect, "DROP")]
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![alter(fields, dialect, "SET")])
}
