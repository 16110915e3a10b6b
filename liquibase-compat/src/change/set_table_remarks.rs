//! setTableRemarks.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::{Dialect, literal};

pub(crate) const KIND: Kind = Kind {
    name: "setTableRemarks",
    class: "SetTableRemarksChange",
    fields: &[
        Field::text("catalogName"),
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
    vec![format!("COMMENT ON TABLE {table} IS {}", literal(fields.required("remarks").trim()))]
}
