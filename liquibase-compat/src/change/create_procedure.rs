//! createProcedure: the text of a procedure or function, in the changelog or in a file. It is one statement.
//!
//! A `schemaName` is written before the name of a procedure. That of a function stays as it is, as in Liquibase, which looks for the word
//! PROCEDURE.

use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse};
use super::sql_text;
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, code_end, with_schema_behind_word};
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "createProcedure",
    class: "CreateProcedureChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("comments"),
        Field::text("dbms"),
        Field::text("encoding"),
        Field::file("path"),
        Field::text("procedureBody"),
        Field::text("procedureName"),
        Field::element_text("procedureText"),
        Field::flag("relativeToChangelogFile"),
        Field::flag("replaceIfExists"),
        Field::text("schemaName"),
    ],
    checksum_input: ChecksumInput::Custom(checksum),
    problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

/// The field that contains the text; `procedureBody` is its older name.
fn inline(fields: &Fields) -> &'static str {
    if fields.text("procedureText").is_none() && fields.text("procedureBody").is_some() {
        "procedureBody"
    } else {
        "procedureText"
    }
}

fn checksum(fields: &Fields, version: ChecksumVersion) -> Checksum {
    let excluded =
        &["path", "dbms", "relativeToChangelogFile", "procedureText", "procedureBody", "encoding", "comments"];
    sql_text::definition_checksum(KIND.name, fields, version, (inline(fields), "procedureBody"), excluded)
}

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let text = fields.text(inline(fields)).is_some_and(|text| !text.trim().is_empty());
    let mut found = match (text, fields.filled("path").is_some()) {
        (true, true) => vec![ValidationProblem::PathAndText { text: "procedure text", change: "createProcedure" }],
        (false, false) => vec![ValidationProblem::NoProcedure],
        _ => sql_text::missing_file(fields, "path").into_iter().collect(),
    };
    if fields.flag("replaceIfExists").is_some() {
        found.push(ValidationProblem::NotAllowed { field: "replaceIfExists" });
    }
    found
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let text = sql_text::text(fields, "path", inline(fields));
    let text = match fields.filled("schemaName") {
        Some(schema) => with_schema_behind_word(text, "procedure", &dialect.name(schema)),
        None => text.to_owned(),
    };
    // Comments behind the last semicolon are lost with it.
    let create = text[..code_end(&text)].strip_suffix(';').unwrap_or(&text);
    vec![create.trim().to_owned()]
}
