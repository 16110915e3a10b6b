//! createView: a view of a query, which is in the changelog or in a file.

use super::kind::{ChangeKind, ChecksumInput, SqlGenerator};
use super::{drop_view, sql_text};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal};
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "createView",
    class: "CreateViewChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("encoding"),
        Field::flag("fullDefinition"),
        Field::file("path"),
        Field::flag("relativeToChangelogFile"),
        Field::text("remarks"),
        Field::flag("replaceIfExists"),
        Field::text("schemaName"),
        Field::element_text("selectQuery"),
        Field::text("viewName").required(),
    ],
    checksum_input: ChecksumInput::Custom(checksum),
    problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn checksum(fields: &Fields, version: ChecksumVersion) -> Checksum {
    let excluded = &["path", "relativeToChangelogFile", "selectQuery", "encoding"];
    sql_text::definition_checksum(KIND.name, fields, version, ("selectQuery", "selectQuery"), excluded)
}

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let inline = fields.text("selectQuery").is_some_and(|query| !query.trim().is_empty());
    match (inline, fields.filled("path").is_some()) {
        (true, true) => vec![ValidationProblem::PathAndText { text: "view definition", change: "createView" }],
        (false, false) => vec![ValidationProblem::NoView],
        _ => sql_text::missing_file(fields, "path").into_iter().collect(),
    }
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let view = dialect.qualified_name(fields.text("schemaName"), fields.required("viewName"));
    let query = sql_text::text(fields, "path", "selectQuery").trim().trim_end_matches(';').trim_end();
    let mut create =
        if fields.is("fullDefinition") { query.to_owned() } else { format!("CREATE VIEW {view} AS {query}") };
    if fields.is("replaceIfExists") && !query.to_uppercase().contains("OR REPLACE") {
        create = with_or_replace(&create);
    }
    let comment = fields.text("remarks").map(str::trim).filter(|remarks| !remarks.is_empty());
    let comment = comment.map(|remarks| format!("COMMENT ON VIEW {view} IS {}", literal(remarks)));
    std::iter::once(create).chain(comment).collect()
}

/// Replaces the first CREATE with CREATE OR REPLACE.
fn with_or_replace(create: &str) -> String {
    match create.to_ascii_uppercase().find("CREATE") {
        Some(start) => format!("{}CREATE OR REPLACE{}", &create[..start], &create[start + "CREATE".len()..]),
        None => create.to_owned(),
    }
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_view::statements(fields, dialect))
}
