//! dropForeignKeyConstraint.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "dropForeignKeyConstraint",
    class: "DropForeignKeyConstraintChange",
    fields: &[
        Field::text("baseTableCatalogName"),
        Field::text("baseTableName").required(),
        Field::text("baseTableSchemaName"),
        Field::text("constraintName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

/// Also the inverse of addForeignKeyConstraint, whose fields have the same names.
pub(super) fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let table = dialect.object(fields.text("baseTableSchemaName"), fields.required("baseTableName"));
    vec![format!("ALTER TABLE {table} DROP CONSTRAINT {}", dialect.name(fields.required("constraintName")))]
}
