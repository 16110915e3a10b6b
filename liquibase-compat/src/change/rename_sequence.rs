//! renameSequence.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_problems};
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

fn renamed(fields: &Fields, dialect: &Dialect, from: &str, to: &str) -> String {
    let object = dialect.qualified_name(fields.text("schemaName"), fields.required(from));
    format!("ALTER SEQUENCE {object} RENAME TO {}", dialect.name(fields.required(to)))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    vec![renamed(fields, dialect, "oldSequenceName", "newSequenceName")]
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![renamed(fields, dialect, "newSequenceName", "oldSequenceName")])
}
