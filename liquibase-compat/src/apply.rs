//! Runs the changes of a changeset.
//!
//! Changes run one after the other if the SQL of one may depend on what the changes before it created: a load without column types
//! takes the types from the table. In all other cases the statements are pipelined.

use std::borrow::Cow;

use futures_util::future::join_all;
use tokio_postgres::GenericClient;

use crate::change::Change;
use crate::changeset::ChangeSet;
use crate::changeset_error::{ChangeSetError, SqlGenerationError};
use crate::event::Event;
use crate::options::Options;
use crate::postgres_error::StatementError;
use crate::session::run_statements;
use crate::sql::{Dialect, jdbc, texts};

/// A changeset with more statements than this is not pipelined.
const MAX_PIPELINED_STATEMENTS: usize = 32;

/// Runs all changes of a changeset, one after the other.
pub(crate) async fn run_changes(
    client: &impl GenericClient,
    set: &ChangeSet,
    schema: &str,
    options: &Options,
) -> Result<(), ChangeSetError> {
    let dialect = set.dialect(schema);
    for change in &set.changes {
        notify_output(options, change);
        let statements = statements(client, set, change, &dialect).await?;
        run_statements(client, &set.modified(statements)?, set.run_in_transaction)
            .await
            .map_err(ChangeSetError::Statement)?;
    }
    Ok(())
}

/// How often Liquibase generates the SQL of a change: for its log, and to run it.
const GENERATIONS: usize = 2;

/// Passes on the message of an `output` change.
pub(crate) fn notify_output(options: &Options, change: &Change) {
    let Some((message, target)) = change.output() else { return };
    for _ in 0..GENERATIONS {
        match target.as_str() {
            target @ ("STDOUT" | "STDERR") => options.notify(&Event::Output { message, target }),
            "DEBUG" => tracing::debug!(message),
            "INFO" => tracing::info!(message),
            "WARN" | "WARNING" => tracing::warn!(message),
            "SEVERE" | "FATAL" | "ERROR" => tracing::error!(message),
            // An unknown target is an error when the SQL is generated.
            _ => {}
        }
    }
}

/// The SQL of a changeset that can be pipelined; `None` if the SQL depends on the database, has too many statements, or may end
/// the transaction, and if a message stands between its changes, which does not appear if a change before it fails.
pub(crate) fn static_statements(set: &ChangeSet, schema: &str) -> Result<Option<Vec<String>>, SqlGenerationError> {
    let dialect = set.dialect(schema);
    if set.changes.iter().any(|change| change.untyped_table(&dialect).is_some() || change.output().is_some()) {
        return Ok(None);
    }
    let statements = set.statements(schema)?;
    let may_end = statements.iter().any(|statement| may_end_transaction(statement));
    Ok((!may_end && statements.len() <= MAX_PIPELINED_STATEMENTS).then_some(statements))
}

/// If a statement of the changelog ends the transaction, an error would no longer stop the statements behind it. The test is by
/// words anywhere in the text: a word in another meaning only costs the pipelining.
pub(crate) fn may_end_transaction(statement: &str) -> bool {
    let lower = statement.to_lowercase();
    ["commit", "rollback", "abort", "end", "prepare"].iter().any(|word| lower.contains(word))
}

/// Runs a changeset, begun by `begin` and recorded by `record`, without waiting between its statements, which saves a round trip
/// for each. After the first error PostgreSQL refuses the rest of the transaction, including the row and the COMMIT.
pub(crate) async fn run_pipelined(
    client: &impl GenericClient,
    begin: &str,
    statements: &[String],
    record: &str,
    end: &str,
) -> Result<(), ChangeSetError> {
    let last = format!("{record}{end}");
    let sent: Vec<_> =
        statements.iter().flat_map(|one| jdbc::sent(one).into_iter().map(move |text| (one, text))).collect();
    let texts = std::iter::once(begin).chain(sent.iter().map(|(_, text)| text.as_ref())).chain([last.as_str()]);
    // They are sent in this order, because `join_all` polls them for the first time in this order.
    let outcomes = join_all(texts.map(|text| client.batch_execute(text))).await;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let Err(error) = outcome else { continue };
        return Err(match index.checked_sub(1).map(|index| sent.get(index)) {
            None => error.into(),
            Some(Some((statement, _))) => ChangeSetError::Statement(StatementError::new(statement, error)),
            Some(None) => ChangeSetError::HistoryRow(StatementError::new(record, error)),
        });
    }
    Ok(())
}

/// A part of a script.
#[derive(Debug, Clone)]
pub(crate) enum ScriptPart {
    Comment(&'static str),
    Statement(String),
}

/// Liquibase's warning before statements that depend on a file or a program.
const VOLATILE: &str =
    "WARNING The following SQL may change each run and therefore is possibly incorrect and/or invalid:";

/// Writes the SQL of all changes of a changeset, for a script. After an error, `parts` has the SQL of the changes before it.
pub(crate) async fn generate_script(
    client: &impl GenericClient,
    set: &ChangeSet,
    schema: &str,
    options: &Options,
    parts: &mut Vec<ScriptPart>,
) -> Result<(), ChangeSetError> {
    let dialect = set.script_dialect(schema);
    for change in &set.changes {
        notify_output(options, change);
        parts.extend(change.is_volatile().then_some(ScriptPart::Comment(VOLATILE)));
        let statements = set.modified(statements(client, set, change, &dialect).await?)?;
        parts.extend(statements.into_iter().map(ScriptPart::Statement));
    }
    Ok(())
}

/// The changeset with what the types of tables decide in its rollback.
pub(crate) async fn with_rollback_types<'a>(
    client: &impl GenericClient,
    set: &'a ChangeSet,
    dialect: &Dialect,
) -> Result<Cow<'a, ChangeSet>, tokio_postgres::Error> {
    let mut typed = Cow::Borrowed(set);
    if set.rollback.is_some() {
        return Ok(typed);
    }
    for (index, change) in set.changes.iter().enumerate() {
        if let Some(table) = change.untyped_table(dialect) {
            typed.to_mut().changes[index] = with_column_types(client, change, &table).await?;
        }
    }
    Ok(typed)
}

async fn statements(
    client: &impl GenericClient,
    set: &ChangeSet,
    change: &Change,
    dialect: &Dialect,
) -> Result<Vec<String>, ChangeSetError> {
    Ok(match change.untyped_table(dialect) {
        None => set.change_statements(change, dialect)?,
        Some(table) => set.change_statements(&with_column_types(client, change, &table).await?, dialect)?,
    })
}

/// The change with the column types of its table. If the table does not exist, the change stays as it is.
async fn with_column_types(
    client: &impl GenericClient,
    change: &Change,
    table: &str,
) -> Result<Change, tokio_postgres::Error> {
    let sql = "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute \
               WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let rows = client.query_typed(sql, &texts(&[&table])).await?;
    let types: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(change.with_column_types(&types))
}
