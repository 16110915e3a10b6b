//! Writing to the history itself: tags, checksums, the lock's row.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;

use crate::checksum::{Checksum, ChecksumVersion};
use crate::error::Error;
use crate::history::HistoryRow;
use crate::history::statement::LIQUIBASE;
use crate::history::table::Tables;
use crate::lock::Lock;
use crate::session::{deployment_id, prepare};

/// Gives the newest row of the history a tag. An empty history first gets a row that stands for nothing.
///
/// # Errors
/// When the history cannot be written.
pub async fn tag(lock: &mut Lock<'_>, tag: &str) -> Result<(), Error> {
    let tables = Tables::locate(&*lock.client()).await?;
    prepare(lock.client(), &tables).await?;
    lock.take_row(&tables).await?;
    let done = write_tag(lock.client(), &tables, tag).await;
    lock.release_row(&tables).await?;
    done
}

async fn write_tag(client: &mut Client, tables: &Tables, tag: &str) -> Result<(), Error> {
    let failed = Error::database("writing the tag");
    let transaction = client.transaction().await.map_err(&failed)?;
    if tables.read(&transaction).await?.rows().is_empty() {
        transaction.batch_execute(&tables.insert_sql(&stand_in())).await.map_err(&failed)?;
    }
    transaction.batch_execute(&tables.tag_sql(tag)).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)
}

/// The row that Liquibase makes for a tag where there is nothing to tag.
fn stand_in() -> HistoryRow {
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
        liquibase: Some(LIQUIBASE.to_owned()),
        contexts: None,
        labels: None,
        deployment_id: Some(deployment_id()),
    }
}

/// Clears every checksum; the next update takes the content of its day for what was run.
///
/// # Errors
/// When the history cannot be written.
pub async fn clear_checksums(lock: &mut Lock<'_>) -> Result<(), Error> {
    let tables = Tables::locate(&*lock.client()).await?;
    prepare(lock.client(), &tables).await?;
    lock.take_row(&tables).await?;
    let done = tables.clear_checksums(&*lock.client()).await;
    lock.release_row(&tables).await?;
    done
}

/// Frees the row of DATABASECHANGELOGLOCK, whoever holds it: for a process that is gone. One that is alive is not stopped by it.
///
/// # Errors
/// When the table cannot be written.
pub async fn release_locks(client: &mut Client) -> Result<(), Error> {
    let tables = Tables::locate(&*client).await?;
    prepare(client, &tables).await?;
    let failed = Error::database("releasing databasechangeloglock");
    client.batch_execute(&tables.release_lock_sql()).await.map_err(failed)
}
