//! dropColumn; one column as an attribute, or several as elements.

use super::column::{COLUMN, Column};
use super::{ALL_FIELDS, Kind, Statements, no_inverse};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "dropColumn",
    class: "DropColumnChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnName"),
        Field::columns(COLUMN),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn invalid(fields: &Object) -> Vec<String> {
    if fields.filled("columnName").is_none() && fields.columns().is_empty() {
        return vec!["columnName is required".to_owned()];
    }
    Vec::new()
}

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    // The list counts more than the single name.
    let one = fields.filled("columnName").filter(|_| fields.columns().is_empty());
    one.into_iter()
        .chain(Column::all(fields).map(|column| column.name()))
        .map(|name| format!("ALTER TABLE {table} DROP COLUMN {}", dialect.name(name)))
        .collect()
}
