//! Running the changes of a changeset.
//!
//! One after the other, because a change may need to know what those before it made: a load without types asks the table for them.

use futures_util::future::join_all;
use tokio_postgres::GenericClient;

use crate::change::Change;
use crate::changeset::ChangeSet;
use crate::error::postgres_message;
use crate::session::{by_database, run_statements};
use crate::sql::Dialect;

/// Statements that are sent without waiting for each other; what a changeset has more is sent one by one.
const MOST_AT_ONCE: usize = 32;

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

/// The SQL of a changeset that needs not ask the database for it, is not much, and stays within its transaction.
///
/// # Errors
/// When a change has none, and why.
pub(crate) fn known(set: &ChangeSet, schema: &str) -> Result<Option<Vec<String>>, String> {
    let dialect = set.dialect(schema);
    if set.changes.iter().any(|change| change.untyped_table(&dialect).is_some()) {
        return Ok(None);
    }
    let statements = set.statements(schema)?;
    let alone = statements.iter().any(|statement| may_end_transaction(statement));
    Ok((!alone && statements.len() <= MOST_AT_ONCE).then_some(statements))
}

/// Behind a transaction that SQL of the changelog ends by itself, what fails would no longer stop what follows. A word that is
/// none of these in earnest costs only the wait.
fn may_end_transaction(statement: &str) -> bool {
    let lower = statement.to_lowercase();
    ["commit", "rollback", "abort", "end", "prepare"].iter().any(|word| lower.contains(word))
}

/// Runs a changeset, begun by `begin` and recorded by `record`, without waiting between its statements: each round trip of a
/// thousand changesets is felt. Behind one that fails PostgreSQL refuses the rest of the transaction, the row and the COMMIT too.
///
/// # Errors
/// The first statement that fails, with PostgreSQL's words.
pub(crate) async fn at_once(
    client: &impl GenericClient,
    begin: &str,
    statements: &[String],
    record: &str,
    end: &str,
) -> Result<(), String> {
    let last = format!("{record}{end}");
    let texts = std::iter::once(begin).chain(statements.iter().map(String::as_str)).chain([last.as_str()]);
    // Sent in this order, as each is polled for the first time.
    let outcomes = join_all(texts.map(|text| client.batch_execute(text))).await;
    let count = statements.len();
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let Err(error) = outcome else { continue };
        let message = postgres_message(&error);
        return Err(match index {
            0 => message,
            _ if index > count => format!("{message} [Failed SQL: (0) {record}]"),
            _ => by_database(format!("{message} [Failed SQL: (0) {}]", statements[index - 1])),
        });
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
