//! tagDatabase: the tag is written into the changeset's own row of the history, not by SQL of its own.

use super::{ALL_FIELDS, Kind, Statements, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "tagDatabase",
    class: "TagDatabaseChange",
    fields: &[Field::text("tag").required()],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse,
};

fn statements(_: &Object, _: &Dialect) -> Vec<String> {
    Vec::new()
}

fn inverse(_: &Object, _: &Dialect) -> Option<Vec<String>> {
    Some(Vec::new())
}
