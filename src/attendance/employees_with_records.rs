//! SQL: the ids of employees that have certain records, in order, without reading all of these.
//!
//! Policy: the index by employee and date leads from one employee to the next, and shows whether that one has a record; so a page costs two
//! index lookups for each employee. Where few of many employees have one (a holiday's sheet of a large table), that would take too
//! long: after a number of employees in vain, the rest comes from all records that match.

/// Names of the common table expressions are fixed, so that a statement has them once.
///
/// `records` is a condition on the record `r`, and `after` the parameter of the employee after which to begin; `limit` and `steps` are
/// parameters: the most ids, and the most employees that are visited. The last of the expressions, `with_records`, has a column `id`.
pub(super) fn common_table_expressions(records: &str, after: Option<&str>, limit: &str, steps: &str) -> String {
    let first = after.map_or_else(|| "id IS NOT NULL".to_owned(), |after| format!("id > {after}"));
    // CASE keeps the planner from reading all records that match, and both subqueries from being evaluated in vain.
    format!(
        "RECURSIVE visited (id, step) AS (\
         (SELECT id, 1::bigint FROM records WHERE {first} ORDER BY id LIMIT 1) \
         UNION ALL SELECT next.id, step + 1 FROM visited CROSS JOIN LATERAL \
         (SELECT id FROM records WHERE id > visited.id ORDER BY id LIMIT 1) AS next WHERE step < {steps}), \
         found AS MATERIALIZED (SELECT visited.id FROM visited WHERE CASE WHEN true \
         THEN EXISTS (SELECT FROM records AS r WHERE r.id = visited.id AND {records}) END LIMIT {limit}), \
         edge AS MATERIALIZED (SELECT CASE WHEN (SELECT count(*) FROM found) < {limit} \
         THEN (SELECT id FROM visited WHERE step = {steps}) END AS id), \
         with_records AS (SELECT id FROM found UNION ALL (SELECT DISTINCT r.id FROM records AS r \
         WHERE (SELECT id FROM edge) IS NOT NULL AND r.id > (SELECT id FROM edge) AND {records} ORDER BY r.id LIMIT {limit}))"
    )
}

/// How many employees are visited for a page of so many.
pub(super) fn max_steps(limit: i64) -> i64 {
    4 * limit + 1000
}
