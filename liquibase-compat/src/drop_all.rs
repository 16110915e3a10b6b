//! Dropping everything in the default schema, as Liquibase does: views, tables (including the two Liquibase tables), sequences.
//!
//! Functions, types and objects of an extension remain, as in Liquibase. All drops are one transaction: either everything is
//! dropped or nothing.

use tokio_postgres::Transaction;

use crate::error::Error;
use crate::history::tables::Tables;
use crate::lock::Lock;
use crate::options::Options;
use crate::session::prepare;
use crate::sql::{Dialect, Quoting, texts};

/// Drops every view, table and sequence of the default schema, and the two Liquibase tables wherever they are.
///
/// # Errors
/// When an object cannot be dropped; then nothing has been dropped.
pub async fn drop_all(lock: &mut Lock<'_>, options: &Options) -> Result<(), Error> {
    let tables = Tables::locate(&*lock.client(), &options.locations).await?;
    prepare(lock.client(), &tables).await?;
    lock.take_row(&tables).await?;
    match drop_objects(lock, &tables).await {
        // The lock row was dropped with its table.
        Ok(()) => Ok(()),
        Err(error) => {
            lock.release_row(&tables).await?;
            Err(error)
        }
    }
}

async fn drop_objects(lock: &mut Lock<'_>, tables: &Tables) -> Result<(), Error> {
    let failed = Error::database("dropping the objects of the schema");
    let transaction = lock.client().transaction().await.map_err(&failed)?;
    // Without this, CASCADE sends a notice for each dependent object.
    transaction.batch_execute("SET LOCAL client_min_messages = warning").await.map_err(&failed)?;
    for (kinds, what) in [("{m}", "MATERIALIZED VIEW"), ("{v}", "VIEW"), ("{r,p,f}", "TABLE"), ("{S}", "SEQUENCE")] {
        for name in relation_names(&transaction, &tables.schema, kinds).await? {
            let dialect = Dialect { schema: tables.schema.clone(), quoting: Quoting::All, is_script: false };
            let sql = format!("DROP {what} IF EXISTS {} CASCADE", dialect.qualified_name(None, &name));
            transaction.batch_execute(&sql).await.map_err(&failed)?;
        }
    }
    // They may have a schema of their own.
    let own = format!("DROP TABLE IF EXISTS {}; DROP TABLE IF EXISTS {}", tables.changelog, tables.lock);
    transaction.batch_execute(&own).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)
}

/// The relations of these kinds that do not belong to an extension, an identity column or a partitioned table.
async fn relation_names(transaction: &Transaction<'_>, schema: &str, kinds: &str) -> Result<Vec<String>, Error> {
    let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relkind::text = ANY ($2::text::text[]) AND NOT c.relispartition \
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid \
                               AND d.deptype IN ('e', 'i')) ORDER BY 1";
    let failed = Error::database("looking for the objects of the schema");
    let rows = transaction.query_typed(sql, &texts(&[&schema, &kinds])).await.map_err(failed)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
