//! addDefaultValue; a sequence that gives the default is from then on owned by the column.

use super::{ALL_FIELDS, Kind, Statements, drop_default_value, value};
use crate::field::{Field, Object};
use crate::sql::{Dialect, column_type};

pub(crate) const KIND: Kind = Kind {
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
    hashing: ALL_FIELDS,
    invalid,
    statements: Statements::Always(statements),
    inverse,
};

/// The fields of which one holds the default.
const DEFAULTS: &[&str] = &[
    "defaultValue",
    "defaultValueNumeric",
    "defaultValueBoolean",
    "defaultValueDate",
    "defaultValueComputed",
    "defaultValueSequenceNext",
];

fn invalid(fields: &Object) -> Vec<String> {
    let given = |name: &&&str| fields.text(name).is_some() || fields.flag(name).is_some();
    match DEFAULTS.iter().filter(given).count() {
        0 => vec!["defaultValue is required".to_owned()],
        1 => mismatch(fields).into_iter().collect(),
        _ => vec!["Only one defaultValue* value can be specified".to_owned()],
    }
}

/// A default that cannot be one of the type that is said.
fn mismatch(fields: &Object) -> Option<String> {
    let type_ = fields.filled("columnDataType")?;
    let mapped = column_type(type_);
    let number = fields.text("defaultValueNumeric").map(value::number);
    let wrong = if mapped == "BOOLEAN" {
        fields.text("defaultValue").map(str::to_owned).or(number)
    } else if mapped.starts_with("VARCHAR") || mapped.starts_with("CHAR") {
        number.or_else(|| fields.flag("defaultValueBoolean").map(|flag| flag.to_string()))
    } else {
        None
    };
    wrong.map(|value| format!("Default value of {value} does not match defined type of {type_}"))
}

fn default(fields: &Object, dialect: &Dialect) -> String {
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

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let schema = fields.text("schemaName");
    let table = dialect.object(schema, fields.required("tableName"));
    let column = dialect.name(fields.required("columnName"));
    let set = format!("ALTER TABLE {table} ALTER COLUMN  {column} SET DEFAULT {}", default(fields, dialect));
    let owner = fields
        .text("defaultValueSequenceNext")
        .map(|sequence| format!("ALTER SEQUENCE {} OWNED BY {table}.{column}", dialect.object(schema, sequence)));
    std::iter::once(set).chain(owner).collect()
}

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_default_value::statements(fields, dialect))
}
