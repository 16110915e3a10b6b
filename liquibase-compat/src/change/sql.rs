//! sql: raw SQL, cut into statements by Liquibase's rules (`sql/split.rs`).

use super::{Hashing, Kind, flag_or, no_inverse, nothing_invalid};
use crate::checksum::ChecksumVersion;
use crate::field::{Field, Object};
use crate::sql::{Dialect, Splitting, split};

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
    hashing: Hashing::Bytes(hashed),
    invalid: nothing_invalid,
    statements,
    inverse: no_inverse,
};

/// Version 9 sums the text without blanks; version 8 with runs of blanks made one, and with the ways of cutting it.
fn hashed(fields: &Object, version: ChecksumVersion) -> String {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let text = fields.required("sql");
    match version {
        ChecksumVersion::V9 => text.chars().filter(|c| !blank(*c)).collect(),
        ChecksumVersion::V8 => format!(
            "{}:{}:{}:{}",
            fields.text("endDelimiter").unwrap_or("null"),
            flag_or(fields, "splitStatements", true),
            flag_or(fields, "stripComments", false),
            text.split(blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        ),
    }
}

fn statements(fields: &Object, _: &Dialect) -> Vec<String> {
    let how = Splitting {
        split: flag_or(fields, "splitStatements", true),
        strip_comments: flag_or(fields, "stripComments", false),
        delimiter: fields.filled("endDelimiter"),
    };
    split(fields.required("sql"), how)
}
