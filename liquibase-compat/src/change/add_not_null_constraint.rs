//! addNotNullConstraint: makes a column NOT NULL, after filling rows without a value if the changelog gives one.

use super::error::ChangeError;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator};
use super::value;
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{DataType, DataTypeError, Dialect, Value, literal};
use crate::validation_problem::ValidationProblem;

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
    problems,
    statements: SqlGenerator::Fallible(statements),
    inverse,
};

fn table(fields: &Fields, dialect: &Dialect) -> String {
    dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    let table = table(fields, dialect);
    let column = dialect.name(fields.required("columnName"));
    let mut out = Vec::new();
    if let Some(value) = fill_value(fields)? {
        out.push(format!("UPDATE {table} SET {column} = {value} WHERE {column} IS NULL"));
    }
    out.push(format!("ALTER TABLE {table} ALTER COLUMN  {column} SET NOT NULL"));
    Ok(out)
}

/// The value for rows without one, if the changelog gives it. Only a boolean or a bit is converted to its type.
fn fill_value(fields: &Fields) -> Result<Option<String>, DataTypeError> {
    let Some(text) = fields.text("defaultNullValue").filter(|text| !text.eq_ignore_ascii_case("null")) else {
        return Ok(None);
    };
    let data_type = fields.filled("columnDataType").map(DataType::parse).transpose()?;
    let Some(data_type) = data_type.filter(DataType::is_boolean) else { return Ok(Some(value::cell(text))) };
    let boolean = data_type.default_sql(&Value::Text(text))?;
    Ok(Some(match data_type.is_bit() {
        false => literal(&boolean),
        true if boolean == "TRUE" => "B'1'".to_owned(),
        true => "B'0'".to_owned(),
    }))
}

/// A value that is not of its type.
fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    fill_value(fields).err().map(ValidationProblem::DataType).into_iter().collect()
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    let column = dialect.name(fields.required("columnName"));
    Some(vec![format!("ALTER TABLE {} ALTER COLUMN  {column} DROP NOT NULL", table(fields, dialect))])
}
