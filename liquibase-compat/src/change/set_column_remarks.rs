//! setColumnRemarks.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal};

pub(crate) const KIND: ChangeKind = ChangeKind {
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
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    let column = dialect.name(fields.required("columnName"));
    vec![format!("COMMENT ON COLUMN {table}.{column} IS {}", literal(fields.required("remarks").trim()))]
}
