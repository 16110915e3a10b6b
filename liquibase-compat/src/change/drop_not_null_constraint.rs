//! dropNotNullConstraint.

use super::{ALL_FIELDS, Kind, Statements, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
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
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse,
};

fn alter(fields: &Object, dialect: &Dialect, what: &str) -> String {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    format!("ALTER TABLE {table} ALTER COLUMN  {} {what} NOT NULL", dialect.name(fields.required("columnName")))
}

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    vec![alter(fields, dialect, "DROP")]
}

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![alter(fields, dialect, "SET")])
}
