//! update: changes the rows that match a condition.

use std::collections::BTreeMap;

use super::column::{COLUMN, Column, has_file};
use super::condition;
use super::error::ChangeError;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "update",
    class: "UpdateDataChange",
    fields: &[
        Field::text("catalogName"),
        Field::columns(COLUMN).required(),
        Field::text("schemaName"),
        Field::text("tableName").required(),
        condition::WHERE,
        condition::WHERE_PARAMS,
    ],
    checksum_input: ChecksumInput::Fields { excluded: &["whereParams"] },
    problems: condition::problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    // Liquibase sorts the columns by name. If a column occurs twice, the last value is used.
    let mut values = BTreeMap::new();
    let is_bound = has_file(fields);
    for column in Column::all(fields) {
        values.insert(column.name(), column.row_value(dialect, is_bound)?.unwrap_or_else(|| "NULL".to_owned()));
    }
    let sets: Vec<String> = values.iter().map(|(name, value)| format!("{} = {value}", dialect.name(name))).collect();
    Ok(vec![format!("UPDATE {table} SET {}{}", sets.join(", "), condition::clause(fields, dialect)?)])
}
