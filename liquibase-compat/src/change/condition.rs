//! The condition of update and delete.
//!
//! It is SQL with placeholders: each `:name` is replaced with the name of the next parameter, each `:value` or `?` with its value.

use super::column::Column;
use super::column_fields::COLUMN;
use super::error::ChangeError;
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal};
use crate::validation_problem::ValidationProblem;

/// The field that contains the condition.
pub(super) const WHERE: Field = Field::text("where");

/// The parameters of the condition. They are not part of the checksum.
pub(super) const WHERE_PARAMS: Field = Field::items("whereParams", "param", COLUMN);

/// ` WHERE ...` with the parameters in place; empty without a condition.
///
/// # Errors
/// When a parameter is NULL or names an unreadable file.
pub(super) fn clause(fields: &Fields, dialect: &Dialect) -> Result<String, ChangeError> {
    let Some(written) = fields.text(WHERE.name) else {
        return Ok(String::new());
    };
    // Only YAML and JSON have an empty condition. PostgreSQL refuses it, so that not all rows are changed.
    if written.trim().is_empty() {
        return Ok(" WHERE".to_owned());
    }
    let parameters: Vec<Column<'_>> = Column::listed(fields, WHERE_PARAMS.name).collect();
    let mut names =
        parameters.iter().filter(|parameter| parameter.has_name()).map(|column| dialect.name(column.name()));
    let mut values = parameters.iter();
    let mut sql = " WHERE ".to_owned();
    let mut rest = written.trim();
    while let Some(start) = rest.find([':', '?']) {
        let (before, after) = rest.split_at(start);
        sql.push_str(before);
        let token = [":name", ":value", "?"].into_iter().find(|token| after.starts_with(token));
        let replacement = match token {
            Some(":name") => names.next(),
            Some(_) => values.next().map(|column| parameter(column, dialect)).transpose()?,
            None => None,
        };
        // Other text stays unchanged, and so does a placeholder without a parameter.
        let length = token.map_or(1, str::len);
        sql.push_str(replacement.as_deref().unwrap_or(&after[..length]));
        rest = &after[length..];
    }
    Ok(sql + rest)
}

/// The value of a parameter. Unlike that of a row, a text is never a function.
fn parameter(column: &Column<'_>, dialect: &Dialect) -> Result<String, ChangeError> {
    match column.text_value() {
        Some(text) if text.eq_ignore_ascii_case("null") => Err(ChangeError::NullParameter),
        Some(text) => Ok(literal(text)),
        None => column.value(dialect)?.filter(|sql| sql != "NULL").ok_or(ChangeError::NullParameter),
    }
}

/// Reports parameters without a condition.
pub(super) fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let has_no_clause = !fields.list(WHERE_PARAMS.name).is_empty() && fields.text(WHERE.name).is_none();
    if has_no_clause { vec![ValidationProblem::NoWhere] } else { Vec::new() }
}
