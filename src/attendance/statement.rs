//! A statement that is put together from its parts.

use tokio_postgres::types::{ToSql, Type};

use super::date::Date;
use super::visibility::{EmployeeId, Visibility};
use crate::database::Parameter;

/// A statement and its parameters. The text depends on which filters are given, never on their values.
#[derive(Default)]
pub(super) struct Statement<'a> {
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter<'a>>,
}

impl<'a> Statement<'a> {
    /// Adds a parameter. Returns its name in the text, which may use it any number of times.
    pub(super) fn bind<T: SqlValue>(&mut self, value: &'a T) -> String {
        self.parameters.push((value, T::TYPE));
        format!("${}", self.parameters.len())
    }

    /// Adds a parameter for a condition, if there is a value. `condition` gets how the text refers to it.
    pub(super) fn bind_optional<T: SqlValue>(
        &mut self,
        value: &'a Option<T>,
        condition: impl FnOnce(&str) -> String,
    ) -> Option<String> {
        value.as_ref().map(|value| condition(&self.bind(value)))
    }

    /// The condition that the employee in `column` is visible, if not all are.
    pub(super) fn bind_visible(&mut self, visibility: &'a Visibility, column: &str) -> Option<String> {
        visibility.employee().map(|employee| format!("{column} = {}", self.bind(employee)))
    }
}

/// A value that can be a parameter of a statement.
pub(super) trait SqlValue: ToSql + Sync {
    /// Its type in PostgreSQL.
    const TYPE: Type;
}

impl SqlValue for String {
    const TYPE: Type = Type::TEXT;
}

impl SqlValue for EmployeeId {
    const TYPE: Type = Type::TEXT;
}

impl SqlValue for Date {
    const TYPE: Type = Type::DATE;
}

impl SqlValue for i64 {
    const TYPE: Type = Type::INT8;
}

/// A text, or none. The server infers its type from the statement, as it does when it prepares one.
pub(super) fn text<'a>(value: &'a (dyn ToSql + Sync)) -> Parameter<'a> {
    (value, Type::UNKNOWN)
}

/// A day, or none.
pub(super) fn date<'a>(value: &'a (dyn ToSql + Sync)) -> Parameter<'a> {
    (value, Type::DATE)
}

/// Conditions, joined by AND; `true` if there are none.
pub(super) fn all(conditions: impl IntoIterator<Item = Option<String>>) -> String {
    let conditions: Vec<String> = conditions.into_iter().flatten().collect();
    if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_named_by_its_position() {
        let (absent, present) = (None::<String>, Some("x".to_owned()));
        let mut statement = Statement::default();
        assert_eq!(statement.bind(&1_i64), "$1");
        assert_eq!(statement.bind_optional(&absent, |name| format!("a = {name}")), None);
        assert_eq!(statement.bind_optional(&present, |name| format!("a = {name}")).as_deref(), Some("a = $2"));
        assert_eq!(statement.parameters.len(), 2);
        assert_eq!(
            (all([None, None]), all([Some("a".to_owned()), Some("b".to_owned())])),
            ("true".to_owned(), "a AND b".to_owned())
        );
    }
}
