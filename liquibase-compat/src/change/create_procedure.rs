//! createProcedure: the text of a procedure or function, in the changelog or in a file. It is one statement.

use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse};
use super::sql_text;
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal};
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
    let text = sql_text::text(fields, "path", inline(fields)).trim();
    let create = text.strip_suffix(';').unwrap_or(text).to_owned();
    let Some(schema) = fields.filled("schemaName") else {
        return vec![create];
    };
    // The text does not name a schema: the search path decides where the procedure is created. It is reset afterwards.
    let path = |schema: &str| format!("SELECT set_config('search_path', {}, false)", literal(schema));
    let target = dialect.name(schema);
    let default = dialect.name(&dialect.schema);
    vec![path(&format!("{target}, {default}")), create, path(&default)]
}
