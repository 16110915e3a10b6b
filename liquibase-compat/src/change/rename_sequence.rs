//! renameSequence.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_problems};
use super::rename::rename;
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "renameSequence",
    class: "RenameSequenceChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("newSequenceName").required(),
        Field::text("oldSequenceName").required(),
        Field::text("schemaName"),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    vec![rename("SEQUENCE", fields, dialect, "oldSequenceName", "newSequenceName")]
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![rename("SEQUENCE", fields, dialect, "newSequenceName", "oldSequenceName")])
}
