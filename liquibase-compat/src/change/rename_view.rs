//! renameView.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_problems};
use super::rename::rename;
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "renameView",
    class: "RenameViewChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("newViewName").required(),
        Field::text("oldViewName").required(),
        Field::text("schemaName"),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    vec![rename("TABLE", fields, dialect, "oldViewName", "newViewName")]
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![rename("TABLE", fields, dialect, "newViewName", "oldViewName")])
}
