//! tagDatabase: sets a tag. The tag is part of the changeset's row in the history, so the change has no SQL.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "tagDatabase",
    class: "TagDatabaseChange",
    fields: &[Field::text("tag")],
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
