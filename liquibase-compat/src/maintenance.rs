//! Commands that change the history itself: tags, checksums, and the row of DATABASECHANGELOGLOCK.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;

use crate::checksum::{Checksum, ChecksumVersion};
use crate::error::Error;
use crate::history::HistoryRow;
use crate::history::sql::LIQUIBASE_VERSION;
use crate::history::tables::Tables;
use crate::lock::Lock;
use crate::options::Options;
use crate::session::{deployment_id, prepare};

/// Gives the newest row of the history a tag. An empty history gets a placeholder row first.
///
/// # Errors
/// When the history cannot be written.
pub async fn tag(lock: &mut Lock<'_>, tag: &str, options: &Options) -> Result<(), Error> {
    let tables = Tables::locate(&*lock.client(), &options.locations).await?;
    prepare(lock.client(), &tables).await?;
    lock.take_row(&tables).await?;
    let outcome = write_tag(lock.client(), &tables, tag).await;
    lock.release_row(&tables).await?;
    outcome
}

async fn write_tag(client: &mut Client, tables: &Tables, tag: &str) -> Result<(), Error> {
    let failed = Error::database("writing the tag");
    let transaction = client.transaction().await.map_err(&failed)?;
    if tables.read(&transaction).await?.rows().is_empty() {
        transaction.batch_execute(&tables.insert_sql(&placeholder_row())).await.map_err(&failed)?;
    }
    transaction.batch_execute(&tables.tag_sql(tag)).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)
}

/// The row that Liquibase inserts when it tags an empty history.
fn placeholder_row() -> HistoryRow {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    HistoryRow {
        id: millis.to_string(),
        author: "liquibase".to_owned(),
        file: "liquibase-internal".to_owned(),
        date_executed: String::new(),
        order_executed: 1,
        exec_type: "EXECUTED".to_owned(),
        checksum: Some(Checksum::of_text(ChecksumVersion::V9, "").to_string()),
        description: Some("empty".to_owned()),
        comments: Some(String::new()),
        tag: None,
        liquibase: Some(LIQUIBASE_VERSION.to_owned()),
        contexts: None,
        labels: None,
        deployment_id: Some(deployment_id()),
    }
}

/// Clears every checksum. The next update stores the checksums of the changelog as it is then.
///
/// # Errors
/// When the history cannot be written.
pub async fn clear_checksums(lock: &mut Lock<'_>, options: &Options) -> Result<(), Error> {
    let tables = Tables::locate(&*lock.client(), &options.locations).await?;
    prepare(lock.client(), &tables).await?;
    lock.take_row(&tables).await?;
    let outcome = tables.clear_checksums(&*lock.client()).await;
    lock.release_row(&tables).await?;
    outcome
}

/// Frees the row of DATABASECHANGELOGLOCK, whatever process holds it. It is meant for a holder that no longer exists; a holder
/// that is still running is not stopped.
///
/// # Errors
/// When the table cannot be written.
pub async fn release_locks(client: &mut Client, options: &Options) -> Result<(), Error> {
    let tables = Tables::locate(&*client, &options.locations).await?;
    prepare(client, &tables).await?;
    let failed = Error::database("releasing databasechangeloglock");
    client.batch_execute(&tables.release_lock_sql()).await.map_err(failed)
}
