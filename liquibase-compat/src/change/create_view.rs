//! createView: a view of a query, which is in the changelog or in a file.

use super::error::ChangeError;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator};
use super::{drop_view, sql_text};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal, with_replaced_word};
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
    statements: SqlGenerator::Fallible(statements),
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

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    let view = dialect.qualified_name(fields.text("schemaName"), fields.required("viewName"));
    let query = sql_text::text(fields, "path", "selectQuery").trim();
    let is_full = fields.is("fullDefinition");
    let replaces = fields.is("replaceIfExists") && !query.to_uppercase().contains("OR REPLACE");
    // As in Liquibase, a word CREATE in the query is replaced rather than the one before it.
    let (create, query) = match replaces.then(|| with_replaced_word(query, "create", REPLACE)) {
        None => ("CREATE", query.to_owned()),
        Some(Some(query)) => ("CREATE", query),
        Some(None) if is_full => return Err(ChangeError::NoCreate),
        Some(None) => (REPLACE, query.to_owned()),
    };
    let create = if is_full { query } else { format!("{create} VIEW {view} AS {query}") };
    let comment = fields.text("remarks").map(str::trim).filter(|remarks| !remarks.is_empty());
    let comment = comment.map(|remarks| format!("COMMENT ON VIEW {view} IS {}", literal(remarks)));
    Ok(std::iter::once(create).chain(comment).collect())
}

const REPLACE: &str = "CREATE OR REPLACE";

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_view::statements(fields, dialect))
}
