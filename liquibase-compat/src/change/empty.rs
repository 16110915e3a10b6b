//! empty: does nothing, and so does its inverse.

use super::{ALL_FIELDS, Kind, Statements, nothing_invalid};
use crate::field::Object;
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "empty",
    class: "EmptyChange",
    fields: &[],
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
