//! mergeColumns: a new column of the values of two, which are dropped.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::{Dialect, column_type, literal};

pub(crate) const KIND: Kind = Kind {
    name: "mergeColumns",
    class: "MergeColumnChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("column1Name").required(),
        Field::text("column2Name").required(),
        Field::text("finalColumnName").required(),
        Field::text("finalColumnType").required(),
        Field::text("joinString"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    let name = |field| dialect.name(fields.required(field));
    let (first, second, merged) = (name("column1Name"), name("column2Name"), name("finalColumnName"));
    let between = literal(fields.text("joinString").unwrap_or_default());
    vec![
        format!("ALTER TABLE {table} ADD {merged} {}", column_type(fields.required("finalColumnType"))),
        format!("UPDATE {table} SET {merged} = {first} || {between} || {second}"),
        format!("ALTER TABLE {table} DROP COLUMN {first}"),
        format!("ALTER TABLE {table} DROP COLUMN {second}"),
    ]
}
