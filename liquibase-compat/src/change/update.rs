//! update of the rows that a condition chooses.

use super::column::{COLUMN, Column};
use super::{Hashing, Kind, Statements, condition, no_inverse};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
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
    hashing: Hashing::Fields { excluded: &["whereParams"] },
    invalid: condition::invalid,
    statements: Statements::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Result<Vec<String>, String> {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    let sets = Column::all(fields).map(|column| {
        let value = column.value(dialect)?.unwrap_or_else(|| "NULL".to_owned());
        Ok(format!("{} = {value}", dialect.name(column.name())))
    });
    let sets = sets.collect::<Result<Vec<String>, String>>()?;
    Ok(vec![format!("UPDATE {table} SET {}{}", sets.join(", "), condition::clause(fields, dialect)?)])
}
