//! dropSequence: drops a sequence and everything that depends on it.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropSequence",
    class: "DropSequenceChange",
    fields: &[Field::text("catalogName"), Field::text("schemaName"), Field::text("sequenceName").required()],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

/// createSequence uses this as its inverse; the fields have the same names.
pub(super) fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let name = dialect.qualified_name(fields.text("schemaName"), fields.required("sequenceName"));
    vec![format!("DROP SEQUENCE {name} CASCADE")]
}
