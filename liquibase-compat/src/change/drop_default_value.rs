//! dropDefaultValue.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "dropDefaultValue",
    class: "DropDefaultValueChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnDataType"),
        Field::text("columnName").required(),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

/// Also the inverse of addDefaultValue, whose fields have the same names.
pub(super) fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    vec![format!("ALTER TABLE {table} ALTER COLUMN {} DROP DEFAULT", dialect.name(fields.required("columnName")))]
}
