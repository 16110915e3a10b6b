//! SQL text in the changelog or in a file, and its checksum.
//!
//! A version 9 checksum ignores all blanks, so that reformatted SQL keeps its checksum. A version 8 checksum replaces each run of blanks with
//! one blank, and uses the bytes of a file before properties are replaced.

use std::sync::Arc;

use crate::checksum::{Checksum, ChecksumVersion, serialise};
use crate::fields::Fields;
use crate::sql::{Splitting, jdbc, split};
use crate::validation_problem::ValidationProblem;

const fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The SQL: the text of the file that the field `file` names, else the text of the field `inline`.
pub(super) fn text<'a>(fields: &'a Fields, file: &str, inline: &str) -> &'a str {
    match fields.file(file) {
        Some(Ok(file)) => &file.expanded,
        Some(Err(_)) => "",
        None => fields.text(inline).unwrap_or_default(),
    }
}

/// The problem of an unreadable file that the field `file` names.
pub(super) fn missing_file(fields: &Fields, file: &str) -> Option<ValidationProblem> {
    fields.file(file).and_then(Result::err).map(|error| Arc::clone(error).into())
}

/// The statements of `sql` and `sqlFile`.
pub(super) fn statements(text: &str, fields: &Fields) -> Vec<String> {
    let splitting = Splitting {
        split: fields.flag_or("splitStatements", true),
        strip_comments: fields.flag_or("stripComments", false),
        delimiter: fields.text("endDelimiter"),
    };
    split(text, splitting).iter().map(|statement| jdbc::native(statement).into_owned()).collect()
}

/// The checksum of `sql` and `sqlFile`. `raw` is the SQL before properties are replaced.
pub(super) fn statements_checksum(fields: &Fields, version: ChecksumVersion, text: &str, raw: &[u8]) -> Checksum {
    match version {
        ChecksumVersion::V9 => Checksum::of_bytes(version, &without_blanks(text)),
        ChecksumVersion::V8 => {
            let head = format!(
                "{}:{}:{}:",
                fields.text("endDelimiter").unwrap_or("null"),
                fields.flag_or("splitStatements", true),
                fields.flag_or("stripComments", false)
            );
            Checksum::of_bytes(version, &[head.as_bytes(), &single_blanks(raw)].concat())
        }
    }
}

/// The checksum of a view or procedure, of its fields and its SQL. `inline` is the field that contains the SQL, `listed` its name in a
/// version 8 checksum, and `excluded` are the fields that a version 9 checksum ignores.
pub(super) fn definition_checksum(
    name: &str,
    fields: &Fields,
    version: ChecksumVersion,
    (inline, listed): (&'static str, &'static str),
    excluded: &[&str],
) -> Checksum {
    let joined = |fields: Checksum, sql: Checksum| Checksum::of_text(version, &format!("{fields}:{sql}"));
    match (version, fields.file("path")) {
        (ChecksumVersion::V9, _) => {
            let of_fields = Checksum::of_text(version, &serialise(name, fields, excluded));
            let hashed = match fields.file("path") {
                Some(Ok(file)) => &file.hashed,
                _ => text(fields, "path", inline),
            };
            joined(of_fields, Checksum::of_bytes(version, &without_blanks(hashed)))
        }
        (ChecksumVersion::V8, None) => {
            let mut renamed = fields.clone();
            renamed.values.iter_mut().filter(|(field, _)| *field == inline).for_each(|(field, _)| *field = listed);
            Checksum::of_text(version, &serialise(name, &renamed, &[]))
        }
        (ChecksumVersion::V8, Some(file)) => {
            let of_fields = Checksum::of_text(version, &serialise(name, fields, &[]));
            let raw = file.map(|file| single_blanks(&file.bytes)).unwrap_or_default();
            joined(of_fields, Checksum::of_bytes(version, &[b";:false:false:".as_slice(), &raw].concat()))
        }
    }
}

fn without_blanks(text: &str) -> Vec<u8> {
    text.bytes().filter(|byte| !is_blank(byte)).collect()
}

/// Replaces each run of blanks with one blank, and removes those at the ends.
fn single_blanks(raw: &[u8]) -> Vec<u8> {
    raw.split(is_blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(&b' ')
}
