//! Running the changes of a changeset.
//!
//! One after the other, because a change may need to know what those before it made: a load without types asks the table for them.

use tokio_postgres::GenericClient;

use crate::change::Change;
use crate::changeset::ChangeSet;
use crate::error::postgres_message;
use crate::session::{by_database, run_statements};
use crate::sql::Dialect;

/// Runs all changes of a changeset.
///
/// # Errors
/// At the first statement that fails, with PostgreSQL's words and the statement.
pub(crate) async fn changes(client: &impl GenericClient, set: &ChangeSet, schema: &str) -> Result<(), String> {
    let dialect = set.dialect(schema);
    for change in &set.changes {
        let statements = statements(client, change, &dialect).await?;
        run_statements(client, &set.modified(statements)?).await.map_err(by_database)?;
    }
    Ok(())
}

/// The SQL of all changes of a changeset, told without running it.
///
/// # Errors
/// When a change has none, and why.
pub(crate) async fn script(client: &impl GenericClient, set: &ChangeSet, schema: &str) -> Result<Vec<String>, String> {
    let dialect = set.dialect(schema);
    let mut out = Vec::new();
    for change in &set.changes {
        out.extend(statements(client, change, &dialect).await?);
    }
    set.modified(out)
}

async fn statements(client: &impl GenericClient, change: &Change, dialect: &Dialect) -> Result<Vec<String>, String> {
    match change.untyped_table(dialect) {
        None => change.statements(dialect),
        Some(table) => typed(client, change, &table).await?.statements(dialect),
    }
}

/// The change with the types of its table's columns; as it is if there is no such table.
async fn typed(client: &impl GenericClient, change: &Change, table: &str) -> Result<Change, String> {
    let sql = "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute \
               WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let rows = client.query(sql, &[&table]).await.map_err(|error| postgres_message(&error))?;
    let known: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(change.typed(&known))
}
