//! insert: adds one row.

use super::column::{Column, has_file};
use super::column_fields::COLUMN;
use super::error::ChangeError;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, PREPARED_STATEMENT};
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "insert",
    class: "InsertDataChange",
    fields: &[
        Field::text("catalogName"),
        Field::columns(COLUMN).required(),
        Field::text("dbms"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    no_columns(fields, KIND.name).into_iter().collect()
}

/// Liquibase reports missing columns of a row twice.
pub(super) fn no_columns(fields: &Fields, change: &'static str) -> Option<ValidationProblem> {
    fields.columns().is_empty().then_some(ValidationProblem::NoColumnsOfRow { change })
}

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    if dialect.is_script && has_file(fields) {
        return Ok(vec![PREPARED_STATEMENT.to_owned()]);
    }
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    let mut names: Vec<String> = Vec::new();
    let mut values: Vec<String> = Vec::new();
    for column in Column::all(fields) {
        let value =
            column.row_value(fields, dialect).map_err(ChangeError::ValueFile)?.unwrap_or_else(|| "NULL".to_owned());
        // An empty list in YAML is one column without a name in Liquibase, which PostgreSQL refuses.
        let name = if column.has_name() { dialect.name(column.name()) } else { "null".to_owned() };
        // If a column occurs twice, the last value is used.
        match names.iter().position(|known| *known == name) {
            Some(index) => values[index] = value,
            None => {
                names.push(name);
                values.push(value);
            }
        }
    }
    Ok(vec![format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "))])
}
