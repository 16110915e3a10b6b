//! setTableRemarks.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal};

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "setTableRemarks",
    class: "SetTableRemarksChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("remarks"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    vec![format!("COMMENT ON TABLE {table} IS {}", literal(fields.required("remarks").trim()))]
}
