//! dropUniqueConstraint.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "dropUniqueConstraint",
    class: "DropUniqueConstraintChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("constraintName").required(),
        Field::text("schemaName"),
        Field::text("tableName").required(),
        Field::text("uniqueColumns"),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    vec![format!("ALTER TABLE {table} DROP CONSTRAINT {}", dialect.name(fields.required("constraintName")))]
}
