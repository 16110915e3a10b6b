//! SQL: one page of a sheet, in one statement.
//!
//! Policy: there is a row for each employee, in order, with the days and statuses of the records as arrays. The first row also has the overrides of the
//! calendar, as three arrays; only a page without employees needs a second statement for them.
//!
//! Most of the time of a sheet goes to its records, each of which is in another block of the table, so they are read once: a sheet of all employees takes the
//! employees and their arrays from one pass over the records of the range, which PostgreSQL reads in the order of the employees until the page is
//! full, or, where the range has few records, through the index of the days. With a filter, the employees are chosen first.

use super::employees_with_records::{common_table_expressions, max_steps};
use super::sheet::SheetQuery;
use super::statement::{Statement, all};
use super::visibility::Visibility;

/// Values that the statement borrows.
pub(super) struct SheetParameters {
    from: super::date::Date,
    to: super::date::Date,
    /// One employee more than wanted shows whether there are more.
    limit: i64,
    steps: i64,
}

impl SheetParameters {
    pub(super) fn new(query: &SheetQuery) -> Self {
        let limit = i64::from(query.limit) + 1;
        Self { from: query.range.from(), to: query.range.to(), limit, steps: max_steps(limit) }
    }
}

/// The parameters of the range in the text of the statement.
struct RangeText {
    from: String,
    to: String,
}

/// Which employees are on a page, and the arrays of each.
struct Page {
    /// Common table expressions, or nothing.
    tables: String,
    /// A query for the ids.
    ids: String,
    /// A join of `page` with the arrays, `of_range`.
    arrays: String,
}

/// The statement of a page.
pub(super) fn sheet_statement<'a>(
    query: &'a SheetQuery,
    visibility: &'a Visibility,
    parameters: &'a SheetParameters,
) -> Statement<'a> {
    let mut statement = Statement::default();
    let range = RangeText { from: statement.bind(&parameters.from), to: statement.bind(&parameters.to) };
    let page = match (query, visibility) {
        (SheetQuery { id: None, status: None, department: None, .. }, Visibility::All) => {
            page_of_all(query, parameters, &mut statement, &range)
        }
        _ => page_of_some(query, visibility, parameters, &mut statement, &range),
    };
    let RangeText { from, to } = range;
    let Page { tables, ids, arrays } = page;
    statement.sql = format!(
        "{tables}SELECT page.id, CASE WHEN e.id IS NULL THEN (SELECT name FROM records AS latest \
         WHERE latest.id = page.id AND latest.date IS NOT NULL ORDER BY latest.date DESC LIMIT 1) ELSE e.name END, \
         e.department, e.joined_on, e.left_on, of_range.dates, of_range.statuses, {} \
         FROM ({ids}) AS page LEFT JOIN employees AS e ON e.id = page.id {arrays} ORDER BY page.id",
        OVERRIDES.map(|column| first_row(column, &from, &to)).join(", ")
    );
    statement
}

/// A condition on the employee `e` of the directory.
fn is_employed(from: &str, to: &str) -> String {
    format!("(e.joined_on IS NULL OR e.joined_on <= {to}) AND (e.left_on IS NULL OR e.left_on >= {from})")
}

const ARRAYS: &str = "array_agg(r.date) AS dates, array_agg(r.status) AS statuses";

/// The page of a sheet without filters: of employees with records, and of those who were employed.
fn page_of_all<'a>(
    query: &'a SheetQuery,
    parameters: &'a SheetParameters,
    statement: &mut Statement<'a>,
    RangeText { from, to }: &RangeText,
) -> Page {
    let limit = statement.bind(&parameters.limit);
    let after = query.after.as_ref().map(|after| statement.bind(after));
    let is_after = |column: &str| after.as_ref().map(|after| format!("{column} > {after}"));
    // A row without an id is of no employee.
    let records = all([
        Some(format!("r.date BETWEEN {from} AND {to}")),
        is_after("r.id").or_else(|| Some("r.id IS NOT NULL".to_owned())),
    ]);
    let directory = all([Some(is_employed(from, to)), is_after("e.id")]);
    Page {
        tables: format!(
            "WITH recorded AS MATERIALIZED (SELECT r.id, {ARRAYS} FROM records AS r WHERE {records} \
             GROUP BY r.id ORDER BY r.id LIMIT {limit}) "
        ),
        ids: format!(
            "SELECT id FROM recorded UNION (SELECT e.id FROM employees AS e WHERE {directory} ORDER BY e.id LIMIT {limit}) \
             ORDER BY id LIMIT {limit}"
        ),
        arrays: "LEFT JOIN recorded AS of_range ON of_range.id = page.id".to_owned(),
    }
}

/// The page of a sheet with filters.
fn page_of_some<'a>(
    query: &'a SheetQuery,
    visibility: &'a Visibility,
    parameters: &'a SheetParameters,
    statement: &mut Statement<'a>,
    RangeText { from, to }: &RangeText,
) -> Page {
    let status = statement.bind_optional(&query.status, |status| format!("r.status = {status}"));
    let records = all([Some(format!("r.date BETWEEN {from} AND {to}")), status.clone()]);
    let department = statement.bind_optional(&query.department, |department| format!("e.department = {department}"));
    let after = query.after.as_ref().map(|after| statement.bind(after));
    let limit = statement.bind(&parameters.limit);
    let visible = statement.bind_visible(visibility, "ids.id");
    let (tables, ids) = if query.id.is_none() && department.is_none() && visible.is_none() {
        let steps = statement.bind(&parameters.steps);
        let tables = common_table_expressions(&records, after.as_deref(), &limit, &steps);
        (format!("WITH {tables} "), format!("SELECT id FROM with_records ORDER BY id LIMIT {limit}"))
    } else {
        let has_records = format!("EXISTS (SELECT FROM records AS r WHERE r.id = ids.id AND {records})");
        // An employee without a record has no status.
        let is_listed = match &status {
            Some(_) => has_records,
            None => format!("({has_records} OR ({} AND e.id IS NOT NULL))", is_employed(from, to)),
        };
        let after = after.map(|after| format!("ids.id > {after}"));
        let id = match (&query.id, visibility.employee()) {
            (Some(id), _) => Some(statement.bind(id)),
            (None, Some(employee)) => Some(statement.bind(employee)),
            (None, None) => None,
        };
        let ids = match id {
            Some(id) => format!("(SELECT {id}::text AS id) AS ids LEFT JOIN employees AS e USING (id)"),
            None => "employees AS ids JOIN employees AS e USING (id)".to_owned(),
        };
        let condition = all([Some(is_listed), department, after, visible]);
        (String::new(), format!("SELECT ids.id FROM {ids} WHERE {condition} ORDER BY ids.id LIMIT {limit}"))
    };
    // The subqueries hide the range from the planner, which would prefer a bitmap of a few blocks for each employee to the index alone.
    let arrays = format!(
        "CROSS JOIN LATERAL (SELECT {ARRAYS} FROM records AS r WHERE r.id = page.id \
         AND r.date BETWEEN (SELECT {from}) AND (SELECT {to})) AS of_range"
    );
    Page { tables, ids, arrays }
}

/// The columns of the calendar, in the order in which a row has them.
const OVERRIDES: [&str; 3] = ["date", "kind", "name"];

/// The overrides of the calendar in the range, in the first row only.
fn first_row(column: &str, from: &str, to: &str) -> String {
    format!("CASE WHEN row_number() OVER (ORDER BY page.id) = 1 THEN ({}) END", overrides(column, from, to))
}

fn overrides(column: &str, from: &str, to: &str) -> String {
    format!("SELECT array_agg({column} ORDER BY date) FROM calendar_days WHERE date BETWEEN {from} AND {to}")
}

/// The statement of a page without employees: one row with the overrides of the calendar.
pub(super) fn overrides_statement(parameters: &SheetParameters) -> Statement<'_> {
    let mut statement = Statement::default();
    let (from, to) = (statement.bind(&parameters.from), statement.bind(&parameters.to));
    let columns = OVERRIDES.map(|column| format!("({})", overrides(column, &from, &to)));
    statement.sql = format!("SELECT {}", columns.join(", "));
    statement
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendance::date::Date;
    use crate::attendance::day_range::DayRange;

    #[test]
    fn values_are_parameters_and_never_part_of_the_statement() {
        let day = Date::parse("2026-01-01").unwrap();
        let value = || Some("1' OR '1'='1".to_owned());
        let range = DayRange::new(day, day).unwrap();
        let plain = SheetQuery { range, id: None, status: None, department: None, limit: 500, after: None };
        for (query, count) in [
            (plain.clone(), 3),
            (SheetQuery { after: value(), ..plain.clone() }, 4),
            (SheetQuery { status: value(), after: value(), ..plain.clone() }, 6),
            (SheetQuery { department: value(), after: value(), ..plain.clone() }, 5),
            (SheetQuery { id: value(), status: value(), department: value(), after: value(), ..plain }, 7),
        ] {
            let parameters = SheetParameters::new(&query);
            let statement = sheet_statement(&query, &Visibility::All, &parameters);
            assert!(!statement.sql.contains('\''), "{}", statement.sql);
            assert_eq!(statement.parameters.len(), count, "{}", statement.sql);
            let own = Visibility::Employee("1".into());
            let narrowed = sheet_statement(&query, &own, &parameters).sql;
            assert!(narrowed.contains(" AND ids.id = $") && !narrowed.contains("recorded"), "{narrowed}");
        }
    }
}
