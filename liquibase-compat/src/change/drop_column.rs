//! dropColumn: drops one column, given as an attribute, or several, given as elements.

use super::column::Column;
use super::column_fields::COLUMN;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropColumn",
    class: "DropColumnChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnName"),
        Field::columns(COLUMN),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let is_missing = match fields.columns().is_empty() {
        true => fields.filled("columnName").is_none(),
        false => Column::all(fields).any(|column| !column.has_name()),
    };
    is_missing.then_some(ValidationProblem::Missing { field: "columnName" }).into_iter().collect()
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    // The list takes precedence over the attribute.
    let one = fields.filled("columnName").filter(|_| fields.columns().is_empty());
    one.into_iter()
        .chain(Column::all(fields).map(|column| column.name()))
        .map(|name| format!("ALTER TABLE {table} DROP COLUMN {}", dialect.name(name)))
        .collect()
}
