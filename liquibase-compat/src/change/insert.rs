//! insert: one row.

use super::column::{COLUMN, Column};
use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "insert",
    class: "InsertDataChange",
    fields: &[
        Field::text("catalogName"),
        Field::columns(COLUMN).required(),
        Field::text("dbms"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Result<Vec<String>, String> {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    let mut names: Vec<String> = Vec::new();
    let mut values: Vec<String> = Vec::new();
    for column in Column::all(fields) {
        let (name, value) = (dialect.name(column.name()), column.value(dialect)?.unwrap_or_else(|| "NULL".to_owned()));
        // Of a column that is named twice the last value counts.
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
