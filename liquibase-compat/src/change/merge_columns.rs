//! mergeColumns: adds a column with the joined values of two columns, and drops the two.

use super::error::ChangeError;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{DataType, Dialect};

pub(crate) const KIND: ChangeKind = ChangeKind {
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
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    let name = |field| dialect.name(fields.required(field));
    let (first, second, merged) = (name("column1Name"), name("column2Name"), name("finalColumnName"));
    // As in Liquibase, a quote in the text is not doubled.
    let between = fields.text("joinString").unwrap_or_default();
    let data_type = DataType::parse(fields.required("finalColumnType"))?.sql()?;
    Ok(vec![
        format!("ALTER TABLE {table} ADD {merged} {data_type}"),
        format!("UPDATE {table} SET {merged} = {first} || '{between}' || {second}"),
        format!("ALTER TABLE {table} DROP COLUMN {first}"),
        format!("ALTER TABLE {table} DROP COLUMN {second}"),
    ])
}
