//! update: changes the rows that match a condition.

use std::collections::BTreeMap;

use super::column::{Column, has_file};
use super::column_fields::COLUMN;
use super::condition;
use super::error::ChangeError;
use super::insert::no_columns;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, PREPARED_STATEMENT};
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "update",
    class: "UpdateDataChange",
    fields: &[
        Field::text("catalogName"),
        Field::columns(COLUMN).required(),
        Field::text("schemaName"),
        Field::text("tableName").required(),
        condition::WHERE,
        condition::WHERE_PARAMS,
    ],
    checksum_input: ChecksumInput::Fields { excluded: &["whereParams"] },
    problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

/// An empty list in YAML is one column without a name in Liquibase, which then ends with an error of Java.
fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let nameless = Column::all(fields).any(|column| !column.has_name());
    let nameless = nameless.then_some(ValidationProblem::NamelessColumn { change: KIND.name });
    no_columns(fields, KIND.name).into_iter().chain(nameless).chain(condition::problems(fields)).collect()
}

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    if dialect.is_script && has_file(fields) {
        return Ok(vec![PREPARED_STATEMENT.to_owned()]);
    }
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    // Liquibase sorts the columns by name. If a column occurs twice, the last value is used.
    let mut values = BTreeMap::new();
    for column in Column::all(fields) {
        values.insert(
            column.name(),
            column.row_value(fields, dialect).map_err(ChangeError::ValueFile)?.unwrap_or_else(|| "NULL".to_owned()),
        );
    }
    let sets: Vec<String> = values.iter().map(|(name, value)| format!("{} = {value}", dialect.name(name))).collect();
    Ok(vec![format!("UPDATE {table} SET {}{}", sets.join(", "), condition::clause(fields, dialect)?)])
}
