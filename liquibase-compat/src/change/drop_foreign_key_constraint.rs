//! dropForeignKeyConstraint.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropForeignKeyConstraint",
    class: "DropForeignKeyConstraintChange",
    fields: &[
        Field::text("baseTableCatalogName"),
        Field::text("baseTableName").required(),
        Field::text("baseTableSchemaName"),
        Field::text("constraintName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

/// addForeignKeyConstraint uses this as its inverse; the fields have the same names.
pub(super) fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = dialect.qualified_name(fields.text("baseTableSchemaName"), fields.required("baseTableName"));
    vec![format!("ALTER TABLE {table} DROP CONSTRAINT {}", dialect.name(fields.required("constraintName")))]
}
