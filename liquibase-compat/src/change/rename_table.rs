//! renameTable.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_problems};
use super::rename::rename;
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "renameTable",
    class: "RenameTableChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("newTableName").required(),
        Field::text("oldTableName").required(),
        Field::text("schemaName"),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    vec![rename("TABLE", fields, dialect, "oldTableName", "newTableName")]
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![rename("TABLE", fields, dialect, "newTableName", "oldTableName")])
}
