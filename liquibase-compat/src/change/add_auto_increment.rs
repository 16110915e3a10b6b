//! addAutoIncrement: a sequence that the column owns and takes its default from. Identities are for columns that are made so.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::{Dialect, literal};

pub(crate) const KIND: Kind = Kind {
    name: "addAutoIncrement",
    class: "AddAutoIncrementChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnDataType"),
        Field::text("columnName").required(),
        Field::flag("defaultOnNull"),
        Field::text("generationType"),
        Field::text("incrementBy"),
        Field::text("schemaName"),
        Field::text("startWith"),
        Field::text("tableName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let schema = fields.text("schemaName");
    let (table, column) = (fields.required("tableName"), fields.required("columnName"));
    let sequence = dialect.object(schema, &sequence_name(table, column, dialect));
    let (table, column) = (dialect.object(schema, table), dialect.name(column));
    let mut create = format!("CREATE SEQUENCE  IF NOT EXISTS {sequence}");
    for (field, words) in [("startWith", "START WITH"), ("incrementBy", "INCREMENT BY")] {
        if let Some(value) = fields.filled(field) {
            create.push_str(&format!(" {words} {value}"));
        }
    }
    vec![
        create,
        format!("ALTER TABLE {table} ALTER COLUMN  {column} SET NOT NULL"),
        format!("ALTER TABLE {table} ALTER COLUMN  {column} SET DEFAULT nextval({})", literal(&sequence)),
        format!("ALTER SEQUENCE {sequence} OWNED BY {table}.{column}"),
    ]
}

/// The name PostgreSQL would give it; in lower case unless the table or the column is written in quotes.
fn sequence_name(table: &str, column: &str, dialect: &Dialect) -> String {
    let name = format!("{table}_{column}_seq");
    let quoted = |name: &str| dialect.name(name).starts_with('"');
    if quoted(table) || quoted(column) { name } else { name.to_lowercase() }
}
