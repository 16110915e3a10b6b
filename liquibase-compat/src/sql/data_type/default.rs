//! How the default of a column is written for the type of the column.

use super::error::DataTypeError;
use super::table::Class;
use super::{DataType, java};
use crate::sql::literal;

/// Words for the current time that a string may contain.
const CURRENT_TIME: &str = "now()";

/// A value of a changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Boolean(bool),
    /// A number as written.
    Number(&'a str),
    /// A number as Java prints it.
    ParsedNumber(String),
    /// A date, a time, or both with `T` or a blank between them.
    Date(&'a str),
    /// An expression, as SQL.
    Expression(String),
}

impl Value<'_> {
    /// The name of the value's class in Java.
    fn java_class(&self) -> &'static str {
        match self {
            Self::Text(_) => "java.lang.String",
            Self::Boolean(_) => "java.lang.Boolean",
            Self::Number(_) => "liquibase.change.ColumnConfig$ValueNumeric",
            Self::ParsedNumber(_) => "java.lang.Number",
            Self::Date(date) => match java::date_kind(date) {
                java::DateKind::Date => "java.sql.Date",
                java::DateKind::Time => "java.sql.Time",
                java::DateKind::Timestamp => "java.sql.Timestamp",
            },
            Self::Expression(_) => "liquibase.statement.DatabaseFunction",
        }
    }

    /// The text of the value in Java.
    pub(crate) fn java_text(&self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) => (*text).to_owned(),
            Self::ParsedNumber(number) => number.clone(),
            Self::Boolean(flag) => flag.to_string(),
            Self::Date(date) => java::date_text(date),
            Self::Expression(sql) => sql.clone(),
        }
    }

    /// The SQL of the value where its type is not known.
    pub(crate) fn sql(&self) -> String {
        match self {
            Self::Text(text) if text.eq_ignore_ascii_case("null") => "null".to_owned(),
            Self::Text(text) => literal(text),
            Self::Boolean(flag) => if *flag { "TRUE" } else { "FALSE" }.to_owned(),
            Self::Number(_) | Self::ParsedNumber(_) => plain(self),
            Self::Date(date) => literal(&java::date_literal(date)),
            Self::Expression(sql) => sql.clone(),
        }
    }
}

impl DataType {
    /// The SQL of a default.
    ///
    /// # Errors
    /// When the type has no such value.
    pub(crate) fn default_sql(&self, value: &Value<'_>) -> Result<String, DataTypeError> {
        if let Value::Expression(sql) = value {
            return Ok(sql.clone());
        }
        let is_null = matches!(value, Value::Text(text) if text.eq_ignore_ascii_case("null"));
        match self.class {
            // These two write the word null as a string.
            Class::Blob => return Ok(blob(value)),
            Class::Unknown => return Ok(format!("'{}'", if is_null { "null".to_owned() } else { plain(value) })),
            _ if is_null => return Ok("null".to_owned()),
            _ => {}
        }
        Ok(match self.class {
            Class::Boolean => boolean(value)?,
            Class::SmallInt | Class::MediumInt => match value {
                Value::Boolean(flag) => if *flag { "1" } else { "0" }.to_owned(),
                _ => java::without_zero_fraction(&value.java_text()).to_owned(),
            },
            Class::Int | Class::BigInt | Class::TinyInt => java::without_zero_fraction(&value.java_text()).to_owned(),
            Class::Varchar | Class::NVarchar | Class::Char | Class::NChar => literal(&value.java_text()),
            Class::Clob => match value.java_text() {
                // PostgreSQL's own defaults of text have quotes.
                text if text.starts_with('\'') => text,
                text => literal(&text),
            },
            Class::Xml => match value {
                Value::Number(_) | Value::ParsedNumber(_) => plain(value),
                _ => format!("xml {}", literal(&value.java_text())),
            },
            Class::Date | Class::Time => self.date_or_time(value)?,
            Class::DateTime | Class::Timestamp => timestamp(value)?,
            _ => plain(value),
        })
    }

    fn date_or_time(&self, value: &Value<'_>) -> Result<String, DataTypeError> {
        match value {
            Value::Text(text) => Ok(literal(text)),
            Value::Date(date) if self.class == Class::Date || java::date_kind(date) == java::DateKind::Time => {
                Ok(literal(&java::date_literal(date)))
            }
            _ => Err(DataTypeError::WrongValue { class: value.java_class(), wanted: "java.lang.String" }),
        }
    }
}

/// The text of the value, and a number without a fraction of zeros.
fn plain(value: &Value<'_>) -> String {
    match value {
        Value::Number(_) | Value::ParsedNumber(_) => java::without_zero_fraction(&value.java_text()).to_owned(),
        _ => value.java_text(),
    }
}

fn blob(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => format!("'{text}'"),
        _ => value.java_text(),
    }
}

fn timestamp(value: &Value<'_>) -> Result<String, DataTypeError> {
    match value {
        Value::Text(text) if text.eq_ignore_ascii_case(CURRENT_TIME) => Ok((*text).to_owned()),
        Value::Text(text) => Ok(literal(text)),
        Value::Date(date) if java::date_kind(date) == java::DateKind::Timestamp => {
            Ok(literal(&java::date_literal(date)))
        }
        _ => Err(DataTypeError::WrongValue { class: value.java_class(), wanted: "java.sql.Timestamp" }),
    }
}

fn boolean(value: &Value<'_>) -> Result<String, DataTypeError> {
    let word = |flag| if flag { "TRUE" } else { "FALSE" }.to_owned();
    Ok(match value {
        Value::Boolean(flag) => word(*flag),
        Value::Number(_) | Value::ParsedNumber(_) => word(matches!(value.java_text().as_str(), "1" | "1.0")),
        Value::Text(text) => {
            let text = text.replace('\'', "");
            match text.to_lowercase().as_str() {
                "true" | "1" | "t" => word(true),
                "false" | "0" | "f" => word(false),
                _ => bits(&text).ok_or(DataTypeError::UnknownBoolean { value: text })?,
            }
        }
        Value::Date(_) => return Err(DataTypeError::NotABoolean { class: value.java_class() }),
        Value::Expression(sql) => sql.clone(),
    })
}

/// A bit string of equal digits, such as `b1` or `00::bit`.
fn bits(text: &str) -> Option<String> {
    let digits = text.strip_prefix('b').unwrap_or(text);
    let digits = digits.strip_suffix("::bit").or_else(|| digits.strip_suffix("::\"bit\"")).unwrap_or(digits);
    let first = digits.chars().next().filter(|first| matches!(first, '0' | '1'))?;
    digits.chars().all(|digit| digit == first).then(|| format!("b'{digits}'::\"bit\""))
}
