//! What every command does on its connection: it prepares the tables, sets the search_path, runs statements and checks the
//! preconditions of the changelog.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::{Client, GenericClient};

use crate::changelog::Changelog;
use crate::error::Error;
use crate::history::History;
use crate::history::tables::Tables;
use crate::lock::Lock;
use crate::postgres_error::StatementError;
use crate::precondition::check::{CheckContext, Verdict};
use crate::precondition::{Consequence, SqlOutput};
use crate::precondition_error::{ConditionError, PreconditionError};
use crate::report::Report;
use crate::sql::{Quoting, jdbc, literal, texts};
use crate::validation_error::ValidationError;

/// Creates the tables, in a transaction of their own.
pub(crate) async fn prepare(client: &mut Client, tables: &Tables) -> Result<(), Error> {
    let failed = Error::database("creating the Liquibase tables");
    let transaction = client.transaction().await.map_err(&failed)?;
    tables.prepare(&transaction).await?;
    transaction.commit().await.map_err(&failed)
}

/// What a changelog is checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A command that works on the database.
    Run,
    /// A script, for which `onSqlOutput` decides whether preconditions are checked.
    Script,
}

/// Checks the preconditions of the changelog itself.
pub(crate) async fn check_changelog(
    client: &mut Client,
    tables: &Tables,
    changelog: &Changelog,
    history: &History,
    purpose: Purpose,
) -> Result<(), Error> {
    for preconditions in &changelog.preconditions {
        if purpose == Purpose::Script && !preconditions.is_checked_in_script() {
            continue;
        }
        let failed = Error::database("checking the preconditions of the changelog");
        let transaction = client.transaction().await.map_err(&failed)?;
        let context = CheckContext {
            client: transaction.client(),
            prepared: None,
            history,
            schema: &tables.schema,
            quoting: Quoting::Legacy,
        };
        let verdict = match (purpose, preconditions.sql_output) {
            (Purpose::Script, SqlOutput::Fail) => {
                let error = PreconditionError {
                    file: preconditions.file.clone(),
                    message: None,
                    condition: ConditionError::SqlOutput,
                };
                Verdict::Fails(preconditions.on_fail, error)
            }
            _ => preconditions.check(&context).await,
        };
        transaction.rollback().await.map_err(&failed)?;
        match verdict {
            Verdict::Holds => {}
            Verdict::Fails(Consequence::Warn, message) => {
                tracing::warn!(%message, "a precondition of the changelog fails; going on, as it says");
            }
            Verdict::Fails(_, error) => {
                let preconditions = vec![Arc::new(error)];
                return Err(ValidationError { preconditions, ..ValidationError::default() }.into());
            }
        }
    }
    Ok(())
}

/// Releases the lock row at the end of a run. If both the run and the release fail, the error is that of the run.
pub(crate) async fn release_row_after(
    lock: &mut Lock<'_>,
    tables: &Tables,
    outcome: Result<Report, Error>,
) -> Result<Report, Error> {
    match (outcome, lock.release_row(tables).await) {
        (Ok(report), Ok(())) => Ok(report),
        (Ok(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        (Err(run_error), Err(error)) => {
            tracing::warn!(%error, "the migration lock row could not be released; the next run takes it over");
            Err(run_error)
        }
    }
}

/// The search_path of the session.
pub(crate) async fn search_path(client: &impl GenericClient) -> Result<String, Error> {
    setting(client, "search_path").await
}

/// A setting of the session.
pub(crate) async fn setting(client: &impl GenericClient, name: &str) -> Result<String, Error> {
    let failed = Error::database("asking for a setting of the session");
    Ok(client.query_typed_one("SELECT current_setting($1)", &texts(&[&name])).await.map_err(failed)?.get(0))
}

/// Restores the search_path, which a changeset may have changed, for later work on this connection.
pub(crate) async fn restore_search_path(lock: &mut Lock<'_>, search_path: &str) {
    if !lock.owns_session() {
        return;
    }
    let client = lock.client();
    let set = format!("SELECT set_config('search_path', {}, false)", literal(search_path));
    if let Err(error) = client.batch_execute(&set).await {
        tracing::warn!(%error, "the search_path of the migration connection could not be restored");
    }
}

/// The statement that makes unqualified names in raw SQL refer to the default schema, whatever earlier changesets did. It holds until the end
/// of the transaction if there is one.
pub(crate) fn set_search_path_sql(tables: &Tables, original: &str, in_transaction: bool) -> String {
    let schema = tables.schema.replace('"', "\"\"");
    let path = literal(&format!("\"{schema}\", {original}"));
    format!("SELECT set_config('search_path', {path}, {in_transaction})")
}

/// The last ten digits of the time in milliseconds, as in Liquibase.
pub(crate) fn deployment_id() -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{:010}", millis % 10_000_000_000)
}

/// Runs statements one after the other. Outside of a transaction PostgreSQL gets the text of each at once, and makes a transaction of it.
pub(crate) async fn run_statements(
    client: &impl GenericClient,
    statements: &[String],
    in_transaction: bool,
) -> Result<(), StatementError> {
    for statement in statements {
        let sent = if in_transaction { jdbc::sent(statement) } else { vec![jdbc::executed(statement)] };
        for text in sent {
            client.batch_execute(&text).await.map_err(|error| StatementError::new(statement, error))?;
        }
    }
    Ok(())
}
