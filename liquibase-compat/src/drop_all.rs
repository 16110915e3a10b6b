//! Emptying the default schema: views, tables (the two Liquibase tables too) and sequences, as Liquibase does.
//!
//! Functions and types stay, as in Liquibase, and so does what belongs to an extension. All in one transaction.

use tokio_postgres::Transaction;

use crate::error::Error;
use crate::history::table::Tables;
use crate::lock::Lock;
use crate::sql::{Dialect, Quoting};

/// Drops every view, table and sequence of the connection's default schema.
///
/// # Errors
/// When something cannot be dropped; then everything is still there.
pub async fn drop_all(lock: &mut Lock<'_>) -> Result<(), Error> {
    let tables = Tables::locate(&*lock.client()).await?;
    crate::session::prepare(lock.client(), &tables).await?;
    lock.take_row(&tables).await?;
    match drop_everything(lock, &tables).await {
        // The row went with its table.
        Ok(()) => Ok(()),
        Err(error) => {
            lock.release_row(&tables).await?;
            Err(error)
        }
    }
}

async fn drop_everything(lock: &mut Lock<'_>, tables: &Tables) -> Result<(), Error> {
    let failed = Error::database("dropping the objects of the schema");
    let transaction = lock.client().transaction().await.map_err(&failed)?;
    // A notice for each object that goes along would be noise.
    transaction.batch_execute("SET LOCAL client_min_messages = warning").await.map_err(&failed)?;
    for (kinds, what) in [("{m}", "MATERIALIZED VIEW"), ("{v}", "VIEW"), ("{r,p,f}", "TABLE"), ("{S}", "SEQUENCE")] {
        for name in names(&transaction, &tables.schema, kinds).await? {
            let dialect = Dialect { schema: tables.schema.clone(), quoting: Quoting::All };
            let sql = format!("DROP {what} IF EXISTS {} CASCADE", dialect.object(None, &name));
            transaction.batch_execute(&sql).await.map_err(&failed)?;
        }
    }
    transaction.commit().await.map_err(&failed)
}

/// The relations of these kinds that are nobody else's.
async fn names(transaction: &Transaction<'_>, schema: &str, kinds: &str) -> Result<Vec<String>, Error> {
    let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relkind::text = ANY ($2::text::text[]) AND NOT c.relispartition \
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid \
                               AND d.deptype IN ('e', 'i')) ORDER BY 1";
    let failed = Error::database("looking for the objects of the schema");
    let rows = transaction.query(sql, &[&schema, &kinds]).await.map_err(failed)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
