//! sqlFile: raw SQL out of a file, with properties replaced, cut as that of `sql`.

use super::body::{self, splitting, statements_checksum};
use super::{Hashing, Kind, Statements, no_inverse};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::{Field, Object};
use crate::sql::{Dialect, split};

pub(crate) const KIND: Kind = Kind {
    name: "sqlFile",
    class: "SQLFileChange",
    fields: &[
        Field::text("dbms"),
        Field::text("encoding"),
        Field::text("endDelimiter"),
        Field::flag("ignoreOriginalSplitStatements"),
        Field::file("path"),
        Field::flag("relativeToChangelogFile"),
        Field::flag("splitStatements"),
        Field::flag("stripComments"),
    ],
    hashing: Hashing::Own(checksum),
    invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn invalid(fields: &Object) -> Vec<String> {
    match fields.filled("path") {
        None => vec!["'path' is required".to_owned()],
        Some(_) => body::missing_file(fields, "path").into_iter().collect(),
    }
}

/// Both versions sum the file before properties are replaced; a view's or procedure's file is summed after it.
fn checksum(fields: &Object, version: ChecksumVersion) -> Checksum {
    let file = fields.file("path").and_then(Result::ok);
    let (text, raw) = file.map(|file| (file.plain.as_str(), file.bytes.as_slice())).unwrap_or_default();
    statements_checksum(fields, version, text, raw)
}

fn statements(fields: &Object, _: &Dialect) -> Vec<String> {
    split(body::text(fields, "path", "sql"), splitting(fields))
}
