//! addNotNullConstraint: makes a column NOT NULL, after filling rows without a value if the changelog gives one.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_problems};
use super::value;
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "addNotNullConstraint",
    class: "AddNotNullConstraintChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnDataType"),
        Field::text("columnName").required(),
        Field::text("constraintName"),
        Field::text("defaultNullValue"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
        Field::flag("validate"),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn table(fields: &Fields, dialect: &Dialect) -> String {
    dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = table(fields, dialect);
    let column = dialect.name(fields.required("columnName"));
    let fill = fields
        .text("defaultNullValue")
        .filter(|value| !value.eq_ignore_ascii_case("null"))
        .map(|value| format!("UPDATE {table} SET {column} = {} WHERE {column} IS NULL", value::cell(value)));
    fill.into_iter().chain([format!("ALTER TABLE {table} ALTER COLUMN  {column} SET NOT NULL")]).collect()
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    let column = dialect.name(fields.required("columnName"));
    Some(vec![format!("ALTER TABLE {} ALTER COLUMN  {column} DROP NOT NULL", table(fields, dialect))])
}
