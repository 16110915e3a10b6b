//! modifyDataType; the values that are there are cast.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::{Dialect, column_type};

pub(crate) const KIND: Kind = Kind {
    name: "modifyDataType",
    class: "ModifyDataTypeChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnName").required(),
        Field::text("newDataType").required(),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    let column = dialect.name(fields.required("columnName"));
    let type_ = column_type(fields.required("newDataType"));
    vec![format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {type_} USING ({column}::{type_})")]
}
