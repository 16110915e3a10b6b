//! delete of the rows that a condition chooses; of all without one.

use super::{Hashing, Kind, Statements, condition, no_inverse};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "delete",
    class: "DeleteDataChange",
    fields: &[
        Field::text("catalogName"),
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
    Ok(vec![format!("DELETE FROM {table}{}", condition::clause(fields, dialect)?)])
}
