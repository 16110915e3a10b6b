//! sql: raw SQL, cut into statements by Liquibase's rules (`sql/split.rs`).

use super::body::{splitting, statements_checksum};
use super::{Hashing, Kind, Statements, no_inverse};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::{Field, Object};
use crate::sql::{Dialect, split};

pub(crate) const KIND: Kind = Kind {
    name: "sql",
    class: "RawSQLChange",
    fields: &[
        Field::text("comment"),
        Field::text("dbms"),
        Field::text("endDelimiter"),
        Field::flag("ignoreOriginalSplitStatements"),
        Field::flag("splitStatements"),
        Field::body("sql"),
        Field::flag("stripComments"),
    ],
    hashing: Hashing::Own(checksum),
    invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn invalid(fields: &Object) -> Vec<String> {
    let empty = fields.required("sql").trim().is_empty();
    empty.then(|| "'sql' is required".to_owned()).into_iter().collect()
}

fn checksum(fields: &Object, version: ChecksumVersion) -> Checksum {
    let text = fields.required("sql");
    statements_checksum(fields, version, text, text.as_bytes())
}

fn statements(fields: &Object, _: &Dialect) -> Vec<String> {
    split(fields.required("sql"), splitting(fields))
}
