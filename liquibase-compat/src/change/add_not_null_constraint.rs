//! addNotNullConstraint; rows without a value may be given one first.

use super::{ALL_FIELDS, Kind, Statements, nothing_invalid, value};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
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
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse,
};

fn table(fields: &Object, dialect: &Dialect) -> String {
    dialect.object(fields.text("schemaName"), fields.required("tableName"))
}

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let table = table(fields, dialect);
    let column = dialect.name(fields.required("columnName"));
    let fill = fields
        .text("defaultNullValue")
        .filter(|value| !value.eq_ignore_ascii_case("null"))
        .map(|value| format!("UPDATE {table} SET {column} = {} WHERE {column} IS NULL", value::cell(value)));
    fill.into_iter().chain([format!("ALTER TABLE {table} ALTER COLUMN  {column} SET NOT NULL")]).collect()
}

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    let column = dialect.name(fields.required("columnName"));
    Some(vec![format!("ALTER TABLE {} ALTER COLUMN  {column} DROP NOT NULL", table(fields, dialect))])
}
