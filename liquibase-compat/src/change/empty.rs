//! empty: has no SQL, and no SQL in its inverse.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_problems};
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "empty",
    class: "EmptyChange",
    fields: &[],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn statements(_: &Fields, _: &Dialect) -> Vec<String> {
    Vec::new()
}

fn inverse(_: &Fields, _: &Dialect) -> Option<Vec<String>> {
    Some(Vec::new())
}
