//! SQL: one page of a summary, in one statement.
//!
//! Policy: a row has a key, a status and a number of records, in the order of the key, nulls last. For weeks and months the key is the
//! day: the database counts days, of which there are few, and their sums are made while they are read.

use super::date::Date;
use super::employees_with_records::{common_table_expressions, max_steps};
use super::statement::{Statement, all};
use super::summary::{SummaryKey, SummaryQuery};
use super::view_cursor::ViewCursor;
use super::visibility::Visibility;

/// Values that the statement borrows.
pub(super) struct SummaryParameters {
    /// One group more than wanted shows whether there are more.
    limit: i64,
    steps: i64,
}

impl SummaryParameters {
    pub(super) fn new(query: &SummaryQuery) -> Self {
        let limit = i64::from(query.limit) + 1;
        Self { limit, steps: max_steps(limit) }
    }
}

/// The statement of a page.
pub(super) fn summary_statement<'a>(
    query: &'a SummaryQuery,
    visibility: &'a Visibility,
    parameters: &'a SummaryParameters,
) -> Statement<'a> {
    let mut statement = Statement::default();
    let filters = [
        statement.bind_optional(&query.from, |from| format!("r.date >= {from}")),
        statement.bind_optional(&query.to, |to| format!("r.date <= {to}")),
        statement.bind_optional(&query.id, |id| format!("r.id = {id}")),
        statement.bind_optional(&query.status, |status| format!("r.status = {status}")),
        statement.bind_optional(&query.department, |department| {
            format!("EXISTS (SELECT FROM employees AS e WHERE e.id = r.id AND e.department = {department})")
        }),
        statement.bind_visible(visibility, "r.id"),
    ];
    let records = all(filters);
    statement.sql = match query.by {
        SummaryKey::Day | SummaryKey::Week | SummaryKey::Month => {
            grouped(&mut statement, "r.date", "records AS r", &records, query)
        }
        SummaryKey::Status => grouped(&mut statement, "r.status", "records AS r", &records, query),
        SummaryKey::Department => {
            let joined = "records AS r LEFT JOIN employees AS d ON d.id = r.id";
            grouped(&mut statement, "d.department", joined, &records, query)
        }
        SummaryKey::Employee => by_employee(&mut statement, &records, query, visibility, parameters),
    };
    statement
}

/// Whether nothing can come after a cursor.
pub(super) fn is_end(after: &ViewCursor) -> bool {
    matches!(after, ViewCursor::Text(None) | ViewCursor::Day(None))
}

fn grouped<'a>(
    statement: &mut Statement<'a>,
    key: &str,
    tables: &str,
    records: &str,
    query: &'a SummaryQuery,
) -> String {
    let after = match &query.after {
        None | Some(ViewCursor::Text(None) | ViewCursor::Day(None)) => None,
        Some(ViewCursor::Text(Some(text))) => Some(statement.bind(text)),
        Some(ViewCursor::Day(Some(day))) => Some(statement.bind(day)),
    };
    let after = after.map(|after| format!("({key} > {after} OR {key} IS NULL)"));
    let condition = all([Some(records.to_owned()), after]);
    format!("SELECT {key}, r.status, count(*) FROM {tables} WHERE {condition} GROUP BY {key}, r.status ORDER BY {key}")
}

fn by_employee<'a>(
    statement: &mut Statement<'a>,
    records: &str,
    query: &'a SummaryQuery,
    visibility: &Visibility,
    parameters: &'a SummaryParameters,
) -> String {
    let after = match &query.after {
        Some(ViewCursor::Text(Some(id))) => Some(statement.bind(id)),
        _ => None,
    };
    if query.id.is_some() || visibility.employee().is_some() {
        let after = after.map(|after| format!("r.id > {after}"));
        let condition = all([Some(records.to_owned()), after]);
        return format!(
            "SELECT r.id, r.status, count(*) FROM records AS r WHERE {condition} GROUP BY r.id, r.status ORDER BY r.id"
        );
    }
    let (limit, steps) = (statement.bind(&parameters.limit), statement.bind(&parameters.steps));
    let tables = common_table_expressions(records, after.as_deref(), &limit, &steps);
    format!(
        "WITH {tables}, page AS MATERIALIZED (SELECT id FROM with_records ORDER BY id LIMIT {limit}) \
         SELECT page.id AS id, counted.status, counted.count FROM page CROSS JOIN LATERAL \
         (SELECT r.status, count(*) FROM records AS r WHERE r.id = page.id AND {records} GROUP BY r.status) AS counted \
         UNION ALL SELECT r.id, r.status, count(*) FROM records AS r WHERE r.id IS NULL AND {records} \
         AND (SELECT count(*) FROM page) < {limit} GROUP BY r.id, r.status ORDER BY id"
    )
}

/// The key of a row.
///
/// # Errors
/// When the column has another type.
pub(super) fn row_key(by: SummaryKey, row: &tokio_postgres::Row) -> Result<RowKey<'_>, tokio_postgres::Error> {
    Ok(if by.is_time() { RowKey::Day(row.try_get(0)?) } else { RowKey::Text(row.try_get(0)?) })
}

/// The key of a row, as it is read.
pub(super) enum RowKey<'a> {
    Text(Option<&'a str>),
    Day(Option<Date>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parameters_and_never_part_of_the_statement() {
        let value = || Some("1' OR '1'='1".to_owned());
        for (_, by) in SummaryKey::WORDS {
            let query = SummaryQuery {
                by,
                from: Date::parse("2026-01-01"),
                to: Date::parse("2026-01-01"),
                id: None,
                status: value(),
                department: value(),
                limit: 1,
                after: Some(if by.is_time() {
                    ViewCursor::Day(Date::parse("2026-01-01"))
                } else {
                    ViewCursor::Text(value())
                }),
            };
            let parameters = SummaryParameters::new(&query);
            let statement = summary_statement(&query, &Visibility::All, &parameters);
            assert!(!statement.sql.contains('\''), "{}", statement.sql);
            assert_eq!(statement.parameters.len(), if by == SummaryKey::Employee { 7 } else { 5 }, "{}", statement.sql);
            let narrowed = summary_statement(&query, &Visibility::Employee("1".into()), &parameters).sql;
            assert!(narrowed.contains(" AND r.id = $") && !narrowed.contains("RECURSIVE"), "{narrowed}");
        }
    }
}
