//! executeCommand: would run a program. Known for its checksum, so that a changelog that ran it with Liquibase can go on; refused by
//! validation where it would run here.

use super::{Hashing, Kind, Statements, no_inverse};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "executeCommand",
    class: "ExecuteShellCommandChange",
    fields: &[
        Field::text("executable").required(),
        Field::text("os"),
        Field::text("timeout"),
        Field::repeated("arg", &[Field::text("value")]),
    ],
    hashing: Hashing::Fields { excluded: &["os", "arg"] },
    invalid,
    statements: Statements::Fallible(statements),
    inverse: no_inverse,
};

fn invalid(_: &Object) -> Vec<String> {
    vec!["executeCommand is not supported: it would run a program; write it as sql, or run it apart and mark the changeset as run".to_owned()]
}

fn statements(fields: &Object, _: &Dialect) -> Result<Vec<String>, String> {
    Err(invalid(fields).concat())
}
