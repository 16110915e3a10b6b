//! dropUniqueConstraint.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropUniqueConstraint",
    class: "DropUniqueConstraintChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("constraintName").required(),
        Field::text("schemaName"),
        Field::text("tableName").required(),
        Field::text("uniqueColumns"),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    vec![format!("ALTER TABLE {table} DROP CONSTRAINT {}", dialect.name(fields.required("constraintName")))]
}
