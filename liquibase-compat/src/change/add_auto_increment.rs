//! addAutoIncrement: creates a sequence that the column owns and that gives its default. Only a new column can be an identity.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal};

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "addAutoIncrement",
    class: "AddAutoIncrementChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnDataType"),
        Field::text("columnName").required(),
        Field::flag("defaultOnNull"),
        Field::text("generationType"),
        Field::integer("incrementBy"),
        Field::text("schemaName"),
        Field::integer("startWith"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let schema = fields.text("schemaName");
    let (table, column) = (fields.required("tableName"), fields.required("columnName"));
    let sequence = dialect.qualified_name(schema, &sequence_name(table, column, dialect));
    let (table, column) = (dialect.qualified_name(schema, table), dialect.name(column));
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

/// The name that PostgreSQL gives the sequence of a serial column, in lower case unless the table or column name is quoted.
fn sequence_name(table: &str, column: &str, dialect: &Dialect) -> String {
    let name = format!("{table}_{column}_seq");
    let quoted = |name: &str| dialect.name(name).starts_with('"');
    if quoted(table) || quoted(column) { name } else { name.to_lowercase() }
}
