//! setColumnRemarks.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::{Dialect, literal};

pub(crate) const KIND: Kind = Kind {
    name: "setColumnRemarks",
    class: "SetColumnRemarksChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnDataType"),
        Field::text("columnName").required(),
        Field::text("columnParentType"),
        Field::text("remarks"),
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
    vec![format!("COMMENT ON COLUMN {table}.{column} IS {}", literal(fields.required("remarks").trim()))]
}
