//! insert: adds one row.

use super::column::{COLUMN, Column, has_file};
use super::error::ChangeError;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

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
    problems: no_problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    let mut names: Vec<String> = Vec::new();
    let mut values: Vec<String> = Vec::new();
    let is_bound = has_file(fields);
    for column in Column::all(fields) {
        let value = column.row_value(dialect, is_bound)?.unwrap_or_else(|| "NULL".to_owned());
        let name = dialect.name(column.name());
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
