//! Queries of the catalogs by which preconditions are checked.
//!
//! PostgreSQL plans such a query for longer than it runs it, so a run prepares each once for its session. The text of a query contains only the
//! conditions that it needs, because a plan must suit every value: `$1 IS NULL OR relname = $1` cannot use an index.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Statement};

use crate::sql::texts;

/// A query that finds a row or none.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    sql: String,
    values: Vec<&'a str>,
}

impl<'a> Lookup<'a> {
    /// A query by its beginning, of which the last word is WHERE.
    pub(super) fn new(sql: String) -> Self {
        Self { sql, values: Vec::new() }
    }

    /// Adds a condition, in which `?` stands for the value.
    #[must_use]
    pub(super) fn with(mut self, condition: &str, value: &'a str) -> Self {
        let and = if self.values.is_empty() { " " } else { " AND " };
        self.values.push(value);
        self.sql.push_str(and);
        self.sql.push_str(&condition.replace('?', &format!("${}", self.values.len())));
        self
    }

    /// Adds a condition if there is a value.
    #[must_use]
    pub(super) fn with_optional(self, condition: &str, value: Option<&'a str>) -> Self {
        match value {
            Some(value) => self.with(condition, value),
            None => self,
        }
    }

    /// Whether there is a row.
    pub(super) async fn finds_row(&self, client: &Client, prepared: Option<&PreparedLookups>) -> Result<bool, Error> {
        let sql = format!("{} LIMIT 1", self.sql);
        let values: Vec<&(dyn ToSql + Sync)> = self.values.iter().map(|value| value as _).collect();
        if let Some(prepared) = prepared {
            match prepared.finds_row(client, &sql, &values).await {
                // A changeset removed it (DISCARD ALL, DEALLOCATE ALL).
                Err(error) if error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME) => prepared.clear(),
                outcome => return outcome,
            }
        }
        Ok(client.query_typed_opt(&sql, &texts(&values)).await?.is_some())
    }
}

/// The queries that a session has prepared. They need a session that belongs to its connection alone.
#[derive(Debug, Default)]
pub(crate) struct PreparedLookups(Mutex<HashMap<String, Statement>>);

impl PreparedLookups {
    #[expect(clippy::disallowed_methods, reason = "the session belongs to this connection alone")]
    async fn finds_row(&self, client: &Client, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<bool, Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => {
                let statement = client.prepare_typed(sql, &vec![Type::TEXT; values.len()]).await?;
                self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(sql.to_owned(), statement.clone());
                statement
            }
        };
        Ok(client.query_opt(&statement, values).await?.is_some())
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
