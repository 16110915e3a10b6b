//! sql: SQL text, split into statements by Liquibase's rules (`sql/split.rs`).

use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse};
use super::sql_text::{self, statements_checksum};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "sql",
    class: "RawSQLChange",
    fields: &[
        Field::text("comment"),
        Field::text("dbms"),
        Field::text("endDelimiter"),
        Field::flag("ignoreOriginalSplitStatements"),
        Field::flag("splitStatements"),
        Field::element_text("sql"),
        Field::flag("stripComments"),
    ],
    checksum_input: ChecksumInput::Custom(checksum),
    problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let empty = fields.required("sql").trim().is_empty();
    empty.then_some(ValidationProblem::MissingText { field: "sql" }).into_iter().collect()
}

fn checksum(fields: &Fields, version: ChecksumVersion) -> Checksum {
    let text = fields.required("sql");
    statements_checksum(fields, version, text, text.as_bytes())
}

fn statements(fields: &Fields, _: &Dialect) -> Vec<String> {
    sql_text::statements(fields.required("sql"), fields)
}
