//! addDefaultValue: sets the default of a column. If the default comes from a sequence, the column becomes the sequence's owner.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator};
use super::{drop_default_value, value};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, column_type};

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "addDefaultValue",
    class: "AddDefaultValueChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("columnDataType"),
        Field::text("columnName").required(),
        Field::text("defaultValue"),
        Field::flag("defaultValueBoolean"),
        Field::text("defaultValueComputed"),
        Field::text("defaultValueConstraintName"),
        Field::text("defaultValueDate"),
        Field::text("defaultValueNumeric"),
        Field::text("defaultValueSequenceNext"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

/// The fields for the default; exactly one must be given.
const DEFAULTS: &[&str] = &[
    "defaultValue",
    "defaultValueNumeric",
    "defaultValueBoolean",
    "defaultValueDate",
    "defaultValueComputed",
    "defaultValueSequenceNext",
];

fn problems(fields: &Fields) -> Vec<String> {
    let given = |name: &&&str| fields.text(name).is_some() || fields.flag(name).is_some();
    match DEFAULTS.iter().filter(given).count() {
        0 => vec!["defaultValue is required".to_owned()],
        1 => type_mismatch(fields).into_iter().collect(),
        _ => vec!["Only one defaultValue* value can be specified".to_owned()],
    }
}

/// Reports a default that does not match the given type.
fn type_mismatch(fields: &Fields) -> Option<String> {
    let type_ = fields.filled("columnDataType")?;
    let mapped = column_type(type_);
    let number = fields.text("defaultValueNumeric").map(value::number);
    let mismatch = if mapped == "BOOLEAN" {
        fields.text("defaultValue").map(str::to_owned).or(number)
    } else if mapped.starts_with("VARCHAR") || mapped.starts_with("CHAR") {
        number.or_else(|| fields.flag("defaultValueBoolean").map(|flag| flag.to_string()))
    } else {
        None
    };
    mismatch.map(|value| format!("Default value of {value} does not match defined type of {type_}"))
}

fn default(fields: &Fields, dialect: &Dialect) -> String {
    if let Some(text) = fields.text("defaultValue") {
        return value::string(text);
    }
    if let Some(flag) = fields.flag("defaultValueBoolean") {
        return value::boolean(flag);
    }
    if let Some(number) = fields.text("defaultValueNumeric") {
        return value::number(number);
    }
    if let Some(date) = fields.text("defaultValueDate") {
        return value::date(date);
    }
    if let Some(sequence) = fields.text("defaultValueSequenceNext") {
        return value::next(fields.text("schemaName"), sequence, dialect);
    }
    value::computed(fields.required("defaultValueComputed"))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let schema = fields.text("schemaName");
    let table = dialect.qualified_name(schema, fields.required("tableName"));
    let column = dialect.name(fields.required("columnName"));
    let set = format!("ALTER TABLE {table} ALTER COLUMN  {column} SET DEFAULT {}", default(fields, dialect));
    let owner = fields.text("defaultValueSequenceNext").map(|sequence| {
        format!("ALTER SEQUENCE {} OWNED BY {table}.{column}", dialect.qualified_name(schema, sequence))
    });
    std::iter::once(set).chain(owner).collect()
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_default_value::statements(fields, dialect))
}
