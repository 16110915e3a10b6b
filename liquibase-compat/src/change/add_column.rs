//! addColumn; one statement a column, then constraints, values for the rows that are there, what may be NOT NULL only then, and comments.

use super::column::{ADD_COLUMN, Column, invalid_definitions};
use super::{ALL_FIELDS, Kind, Statements};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "addColumn",
    class: "AddColumnChange",
    fields: &[
        Field::text("catalogName"),
        Field::columns(ADD_COLUMN).required(),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: invalid_definitions,
    statements: Statements::Fallible(statements),
    inverse,
};

fn table(fields: &Object, dialect: &Dialect) -> String {
    dialect.object(fields.text("schemaName"), fields.required("tableName"))
}

fn statements(fields: &Object, dialect: &Dialect) -> Result<Vec<String>, String> {
    let table = table(fields, dialect);
    let columns = || Column::all(fields);
    let mut out = Vec::new();
    for column in columns() {
        let key = if column.is_primary_key() { " PRIMARY KEY" } else { "" };
        out.push(format!("ALTER TABLE {table} ADD {}{key}", column.addition(dialect)));
    }
    out.extend(
        columns().filter_map(|column| column.unique(dialect)).map(|part| format!("ALTER TABLE {table} ADD {part}")),
    );
    out.extend(
        columns()
            .filter_map(|column| column.foreign_key(dialect, " "))
            .map(|part| format!("ALTER TABLE {table} ADD {part}")),
    );
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

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    let table = table(fields, dialect);
    let defaults = Column::all(fields)
        .filter(Column::has_default)
        .map(|column| format!("ALTER TABLE {table} ALTER COLUMN {} DROP DEFAULT", dialect.name(column.name())));
    let drops =
        Column::all(fields).map(|column| format!("ALTER TABLE {table} DROP COLUMN {}", dialect.name(column.name())));
    Some(defaults.chain(drops).collect())
}
