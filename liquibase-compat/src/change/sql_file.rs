//! sqlFile: SQL from a file. Properties in it are replaced, and it is split into statements like `sql`.

use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse};
use super::sql_text::{self, statements_checksum};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
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
    checksum_input: ChecksumInput::Custom(checksum),
    problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    match fields.filled("path") {
        None => vec![ValidationProblem::MissingText { field: "path" }],
        Some(_) => sql_text::missing_file(fields, "path").into_iter().collect(),
    }
}

/// Both versions use the file before properties are replaced, unlike for views and procedures.
fn checksum(fields: &Fields, version: ChecksumVersion) -> Checksum {
    let file = fields.file("path").and_then(Result::ok);
    let (text, raw) = file.map(|file| (file.decoded.as_str(), file.bytes.as_slice())).unwrap_or_default();
    statements_checksum(fields, version, text, raw)
}

fn statements(fields: &Fields, _: &Dialect) -> Vec<String> {
    sql_text::statements(sql_text::text(fields, "path", "sql"), fields)
}
