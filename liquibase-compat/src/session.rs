//! What every command does on its connection: the tables, the search_path, statements, preconditions of the changelog.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::{Client, GenericClient};

use crate::changelog::Changelog;
use crate::error::{Error, ValidationError, postgres_message};
use crate::history::History;
use crate::history::table::Tables;
use crate::precondition::{CheckContext, Consequence, Verdict};
use crate::sql::{Quoting, literal};

/// Makes the tables, in a transaction of their own.
pub(crate) async fn prepare(client: &mut Client, tables: &Tables) -> Result<(), Error> {
    let failed = Error::database("creating the Liquibase tables");
    let transaction = client.transaction().await.map_err(&failed)?;
    tables.prepare(&transaction).await?;
    transaction.commit().await.map_err(&failed)
}

/// The preconditions of the changelog itself.
pub(crate) async fn check_changelog(
    client: &mut Client,
    tables: &Tables,
    changelog: &Changelog,
    history: &History,
) -> Result<(), Error> {
    for (file, preconditions) in &changelog.preconditions {
        let failed = Error::database("checking the preconditions of the changelog");
        let transaction = client.transaction().await.map_err(&failed)?;
        let context =
            CheckContext { transaction: &transaction, history, schema: &tables.schema, quoting: Quoting::Legacy, file };
        let verdict = preconditions.check(&context).await;
        transaction.rollback().await.map_err(&failed)?;
        match verdict {
            Verdict::Holds => {}
            Verdict::Fails(Consequence::Warn, message) => {
                tracing::warn!(%message, "a precondition of the changelog fails; going on, as it says");
            }
            Verdict::Fails(_, message) => {
                return Err(ValidationError { preconditions: vec![message], ..ValidationError::default() }.into());
            }
        }
    }
    Ok(())
}

/// The search_path of the session as it is.
pub(crate) async fn search_path(client: &impl GenericClient) -> Result<String, Error> {
    let row = client
        .query_one("SELECT current_setting('search_path')", &[])
        .await
        .map_err(Error::database("asking for the search_path"))?;
    Ok(row.get(0))
}

/// A changeset may have changed it; what comes after on this connection is not to notice.
pub(crate) async fn restore_search_path(client: &Client, search_path: &str) {
    let set = format!("SELECT set_config('search_path', {}, false)", literal(search_path));
    if let Err(error) = client.batch_execute(&set).await {
        tracing::warn!(%error, "the search_path of the migration connection could not be restored");
    }
}

/// What makes unqualified names in raw SQL mean the default schema, whatever the changeset before did.
pub(crate) fn set_search_path(tables: &Tables, original: &str) -> String {
    let schema = tables.schema.replace('"', "\"\"");
    format!("SELECT set_config('search_path', {}, false)", literal(&format!("\"{schema}\", {original}")))
}

/// The last ten digits of the time in milliseconds.
pub(crate) fn deployment_id() -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{:010}", millis % 10_000_000_000)
}

/// Runs statements one after the other; a failure names the statement.
pub(crate) async fn run_statements(client: &impl GenericClient, statements: &[String]) -> Result<(), String> {
    for statement in statements {
        client
            .batch_execute(statement)
            .await
            .map_err(|error| format!("{} [Failed SQL: (0) {statement}]", postgres_message(&error)))?;
    }
    Ok(())
}

/// The words Liquibase puts before what the database said of a changeset; people search for them.
pub(crate) fn by_database(reason: String) -> String {
    format!("liquibase.exception.DatabaseException: {reason}")
}
