//! Bodies of SQL, which stand in the changelog or in a file, and their checksums.
//!
//! Version 9 sums a body without its blanks, so that a reformatted one is still the same; version 8 sums it with runs of blanks made
//! one, and the bytes of a file as they are, before any property is replaced.

use super::flag_or;
use crate::checksum::{Checksum, ChecksumVersion, serialise};
use crate::field::{Object, Value};
use crate::sql::Splitting;

const fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The body: the text of the file that `file` names, else what the field `inline` holds.
pub(super) fn text<'a>(fields: &'a Object, file: &str, inline: &str) -> &'a str {
    match fields.file(file) {
        Some(Ok(file)) => &file.text,
        Some(Err(_)) => "",
        None => fields.text(inline).unwrap_or_default(),
    }
}

/// What validation says about the file that `file` names.
pub(super) fn missing_file(fields: &Object, file: &str) -> Option<String> {
    fields.file(file).and_then(Result::err).map(str::to_owned)
}

/// How the body of `sql` and `sqlFile` is cut into statements.
pub(super) fn splitting(fields: &Object) -> Splitting<'_> {
    Splitting {
        split: flag_or(fields, "splitStatements", true),
        strip_comments: flag_or(fields, "stripComments", false),
        delimiter: fields.filled("endDelimiter"),
    }
}

/// The checksum of `sql` and `sqlFile`; `raw` is the body before properties are replaced.
pub(super) fn statements_checksum(fields: &Object, version: ChecksumVersion, text: &str, raw: &[u8]) -> Checksum {
    match version {
        ChecksumVersion::V9 => Checksum::of_bytes(version, &without_blanks(text)),
        ChecksumVersion::V8 => {
            let head = format!(
                "{}:{}:{}:",
                fields.text("endDelimiter").unwrap_or("null"),
                flag_or(fields, "splitStatements", true),
                flag_or(fields, "stripComments", false)
            );
            Checksum::of_bytes(version, &[head.as_bytes(), &single_blanks(raw)].concat())
        }
    }
}

/// The checksum of a view or procedure: of its other fields, and of its body. `inline` is the body's field, `listed` the name that
/// version 8 knows it by, `excluded` what version 9 leaves out of the other fields.
pub(super) fn definition_checksum(
    name: &str,
    fields: &Object,
    version: ChecksumVersion,
    (inline, listed): (&'static str, &'static str),
    excluded: &[&str],
) -> Checksum {
    let joined = |generic: Checksum, body: Checksum| Checksum::of_text(version, &format!("{generic}:{body}"));
    match (version, fields.file("path")) {
        (ChecksumVersion::V9, _) => {
            let generic = Checksum::of_text(version, &serialise(name, fields, excluded));
            joined(generic, Checksum::of_bytes(version, &without_blanks(text(fields, "path", inline))))
        }
        (ChecksumVersion::V8, None) => {
            let mut renamed = fields.clone();
            for (field, value) in renamed.fields.iter_mut().filter(|(field, _)| *field == inline) {
                *field = listed;
                if let Value::Text(text) = value {
                    *text = text.trim().to_owned();
                }
            }
            Checksum::of_text(version, &serialise(name, &renamed, &[]))
        }
        (ChecksumVersion::V8, Some(file)) => {
            let generic = Checksum::of_text(version, &serialise(name, fields, &[]));
            let raw = file.map(|file| single_blanks(&file.bytes)).unwrap_or_default();
            joined(generic, Checksum::of_bytes(version, &[b";:false:false:".as_slice(), &raw].concat()))
        }
    }
}

/// Without blanks, tabs and line ends, and without any other change.
fn without_blanks(text: &str) -> Vec<u8> {
    text.bytes().filter(|byte| !is_blank(byte)).collect()
}

/// Every run of blanks made one, none at the ends.
fn single_blanks(raw: &[u8]) -> Vec<u8> {
    raw.split(is_blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(&b' ')
}
