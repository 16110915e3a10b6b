//! dropSequence, and what depends on it.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "dropSequence",
    class: "DropSequenceChange",
    fields: &[Field::text("catalogName"), Field::text("schemaName"), Field::text("sequenceName").required()],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

/// Also the inverse of createSequence, whose fields have the same names.
pub(super) fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let name = dialect.object(fields.text("schemaName"), fields.required("sequenceName"));
    vec![format!("DROP SEQUENCE {name} CASCADE")]
}
