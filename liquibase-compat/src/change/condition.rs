//! The condition of update and delete: SQL whose `:name` and `:value` (or `?`) stand for the parameters, in turn.

use super::column::{COLUMN, Column};
use crate::field::{Field, Object};
use crate::sql::Dialect;

/// The condition.
pub(super) const WHERE: Field = Field::text("where");

/// Its parameters; they do not count in checksums.
pub(super) const WHERE_PARAMS: Field = Field::items("whereParams", "param", COLUMN);

/// ` WHERE ..`, or nothing.
///
/// # Errors
/// When a parameter names a file that cannot be had.
pub(super) fn clause(fields: &Object, dialect: &Dialect) -> Result<String, String> {
    let Some(written) = fields.filled(WHERE.name) else {
        return Ok(String::new());
    };
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
        let meant = match token {
            Some(":name") => names.next(),
            Some(_) => values
                .next()
                .map(|column| column.value(dialect))
                .transpose()?
                .map(|value| value.unwrap_or("NULL".into())),
            None => None,
        };
        // What is no placeholder, or has no parameter left, stays.
        let length = token.map_or(1, str::len);
        sql.push_str(meant.as_deref().unwrap_or(&after[..length]));
        rest = &after[length..];
    }
    Ok(sql + rest)
}

/// What validation says of parameters without a condition.
pub(super) fn invalid(fields: &Object) -> Vec<String> {
    let lost = !fields.list(WHERE_PARAMS.name).is_empty() && fields.filled(WHERE.name).is_none();
    if lost { vec!["whereParams set but no whereClause".to_owned()] } else { Vec::new() }
}
