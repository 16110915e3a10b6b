//! dropDefaultValue.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropDefaultValue",
    class: "DropDefaultValueChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnDataType"),
        Field::text("columnName").required(),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

/// addDefaultValue uses this as its inverse; the fields have the same names.
pub(super) fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    vec![format!("ALTER TABLE {table} ALTER COLUMN {} DROP DEFAULT", dialect.name(fields.required("columnName")))]
}
