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
    let names: Vec<String> = Column::all(fields).map(|column| dialect.name(column.name())).collect();
    let values = Column::all(fields).map(|column| Ok(column.value(dialect)?.unwrap_or_else(|| "NULL".to_owned())));
    let values = values.collect::<Result<Vec<String>, String>>()?;
    Ok(vec![format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "))])
}
