//! addColumn: adds each column in a statement of its own, with its unique constraint and foreign key behind it, then values for the existing
//! rows, NOT NULL for the columns that have them, and comments.

use super::column::{Column, definition_problems};
use super::column_fields::ADD_COLUMN;
use super::error::ChangeError;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "addColumn",
    class: "AddColumnChange",
    fields: &[
        Field::text("catalogName"),
        Field::columns(ADD_COLUMN).required(),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems,
    statements: SqlGenerator::Fallible(statements),
    inverse,
};

/// The fields for a position in the table, which PostgreSQL cannot have, and their names in Liquibase's messages.
const POSITIONS: &[(&str, &str)] =
    &[("afterColumn", "addAfterColumn"), ("beforeColumn", "addBeforeColumn"), ("position", "addAtPosition")];

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let mut found = definition_problems(fields);
    for column in fields.columns() {
        let given = POSITIONS.iter().filter(|(field, _)| column.text(field).is_some());
        found.extend(given.map(|(_, field)| ValidationProblem::NotAllowed { field }));
    }
    found
}

fn table(fields: &Fields, dialect: &Dialect) -> String {
    dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    let table = table(fields, dialect);
    let columns = || Column::all(fields);
    let mut out = Vec::new();
    for column in columns() {
        let key = if column.is_primary_key() { " PRIMARY KEY" } else { "" };
        out.push(format!("ALTER TABLE {table} ADD {}{key}", column.addition(dialect)?));
        let constraints = [column.unique(dialect), column.added_foreign_key(dialect)?];
        out.extend(constraints.into_iter().flatten().map(|part| format!("ALTER TABLE {table} ADD {part}")));
    }
    for column in columns() {
        if let Some(value) = column.value(dialect)? {
            out.push(format!("UPDATE {table} SET {} = {value}", dialect.name(column.name())));
        }
    }
    for column in columns().filter(|column| column.is_not_null() && column.has_value() && !column.is_primary_key()) {
        out.push(format!("ALTER TABLE {table} ALTER COLUMN  {} SET NOT NULL", dialect.name(column.name())));
    }
    out.extend(columns().filter_map(|column| column.comment(&table, dialect)));
    Ok(out)
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    let table = table(fields, dialect);
    let defaults = Column::all(fields)
        .filter(Column::has_default)
        .map(|column| format!("ALTER TABLE {table} ALTER COLUMN {} DROP DEFAULT", dialect.name(column.name())));
    let drops =
        Column::all(fields).map(|column| format!("ALTER TABLE {table} DROP COLUMN {}", dialect.name(column.name())));
    Some(defaults.chain(drops).collect())
}
