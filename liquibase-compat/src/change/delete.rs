//! delete: removes the rows that match a condition, or all rows if there is none.

use super::condition;
use super::error::ChangeError;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "delete",
    class: "DeleteDataChange",
    fields: &[
        Field::text("catalogName"),
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
    Ok(vec![format!("DELETE FROM {table}{}", condition::clause(fields, dialect)?)])
}
