//! addDefaultValue: sets the default of a column. If the default comes from a sequence, the column becomes the sequence's owner.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator};
use super::{drop_default_value, value};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{DataType, Dialect, Quoting, Value, parse_number};
use crate::validation_problem::ValidationProblem;

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

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let given = |name: &&&str| fields.text(name).is_some() || fields.flag(name).is_some();
    // Liquibase does not look at the default of an unknown column.
    if ["tableName", "columnName"].iter().any(|name| fields.filled(name).is_none()) {
        return Vec::new();
    }
    match DEFAULTS.iter().filter(given).count() {
        0 => vec![ValidationProblem::Missing { field: "defaultValue" }],
        1 => type_mismatch(fields).into_iter().collect(),
        _ => vec![ValidationProblem::SeveralDefaults],
    }
}

/// The default.
fn default<'a>(fields: &'a Fields, dialect: &Dialect) -> Value<'a> {
    if let Some(text) = fields.text("defaultValue") {
        return Value::Text(text);
    }
    if let Some(flag) = fields.flag("defaultValueBoolean") {
        return Value::Boolean(flag);
    }
    if let Some(number) = fields.text("defaultValueNumeric") {
        return match parse_number(number) {
            Some(parsed) => Value::ParsedNumber(parsed),
            None => Value::Expression(value::computed(number)),
        };
    }
    if let Some(date) = fields.text("defaultValueDate") {
        return value::date_or_expression(date);
    }
    if let Some(sequence) = fields.text("defaultValueSequenceNext") {
        return Value::Expression(value::next(fields.text("schemaName"), sequence, dialect));
    }
    Value::Expression(value::computed(fields.required("defaultValueComputed")))
}

/// Reports a default that is not of the given type. A type that cannot be read is not checked.
fn type_mismatch(fields: &Fields) -> Option<ValidationProblem> {
    let written = fields.filled("columnDataType")?;
    let data_type = DataType::parse(written).ok()?;
    // The SQL of the default is not needed here, so the schema and the quoting strategy are irrelevant.
    let dialect = Dialect { schema: String::new(), quoting: Quoting::default(), is_script: false };
    let value = default(fields, &dialect);
    let is_other = match value {
        Value::Expression(_) => false,
        Value::Text(_) => data_type.is_boolean(),
        Value::Boolean(_) => data_type.is_string(),
        Value::Number(_) | Value::ParsedNumber(_) | Value::Date(_) => data_type.is_boolean() || data_type.is_string(),
    };
    is_other.then(|| ValidationProblem::DefaultOfOtherType { value: value.java_text(), data_type: written.to_owned() })
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let schema = fields.text("schemaName");
    let table = dialect.qualified_name(schema, fields.required("tableName"));
    let column = dialect.name(fields.required("columnName"));
    let set = format!("ALTER TABLE {table} ALTER COLUMN  {column} SET DEFAULT {}", default(fields, dialect).sql());
    let owner = fields.text("defaultValueSequenceNext").map(|sequence| {
        format!("ALTER SEQUENCE {} OWNED BY {table}.{column}", dialect.qualified_name(schema, sequence))
    });
    std::iter::once(set).chain(owner).collect()
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_default_value::statements(fields, dialect))
}
