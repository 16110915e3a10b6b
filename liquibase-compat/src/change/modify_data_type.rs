//! modifyDataType: changes the type of a column and casts the existing values.

use super::error::ChangeError;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{DataType, Dialect};

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "modifyDataType",
    class: "ModifyDataTypeChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnName").required(),
        Field::text("newDataType").required(),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    let column = dialect.name(fields.required("columnName"));
    let type_ = DataType::parse(fields.required("newDataType"))?.sql()?;
    Ok(vec![format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {type_} USING ({column}::{type_})")])
}
