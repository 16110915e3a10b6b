//! The foreign key from records to the directory of employees.
//!
//! Policy: the configuration (`employees.strict`) decides whether it exists, so it is no changeset: each start adds or drops it, under the lock of
//! the migrations. It is NOT VALID: records that exist already may be of unknown employees, and nothing has to read them. All
//! instances on one database need the same setting; the start that changes the key says so in the log.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::error::StrictDirectoryError;

/// The name of the constraint, which its violations report.
pub const STRICT_DIRECTORY_KEY: &str = "attendance_api_strict_directory";
/// How long the change may wait for transactions that write to the tables, and hold back others.
const LOCK_TIMEOUT: &str = "10s";
/// The constraint, if there is one. To a table that does not exist there is none.
const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = pg_catalog.to_regclass('records') \
     AND contype = 'f' AND conname = $1)";

/// Says in the log that the foreign key is not as the setting wants it, where nothing can be changed.
///
/// # Errors
/// When the statement fails.
pub async fn compare(client: &Client, is_strict: bool) -> Result<(), StrictDirectoryError> {
    if exists(client).await? != is_strict {
        tracing::warn!(
            strict = is_strict,
            "employees.strict has another value for this database, which cannot be changed now"
        );
    }
    Ok(())
}

async fn exists(client: &Client) -> Result<bool, StrictDirectoryError> {
    let row = client
        .query_typed_one(EXISTS, &[(&STRICT_DIRECTORY_KEY, Type::NAME)])
        .await
        .map_err(StrictDirectoryError::Statement)?;
    Ok(row.get(0))
}

/// Adds or drops the foreign key, unless it is as the setting wants it.
///
/// # Errors
/// When it cannot be changed. Nothing has changed then.
pub async fn apply(client: &mut Client, is_strict: bool) -> Result<(), StrictDirectoryError> {
    if exists(client).await? == is_strict {
        return Ok(());
    }
    let statement = if is_strict {
        format!(
            "ALTER TABLE records ADD CONSTRAINT {STRICT_DIRECTORY_KEY} FOREIGN KEY (id) REFERENCES employees (id) NOT VALID"
        )
    } else {
        format!("ALTER TABLE records DROP CONSTRAINT {STRICT_DIRECTORY_KEY}")
    };
    let change = async {
        let transaction = client.transaction().await?;
        transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")).await?;
        transaction.batch_execute(&statement).await?;
        transaction.commit().await
    };
    change.await.map_err(|error: tokio_postgres::Error| match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            let message = error.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default();
            StrictDirectoryError::NotOwner { is_strict, message }
        }
        Some(&SqlState::LOCK_NOT_AVAILABLE) => StrictDirectoryError::Locked,
        _ => StrictDirectoryError::Statement(error),
    })?;
    tracing::warn!(
        strict = is_strict,
        "employees.strict has changed for this database: every other instance on it needs the same setting"
    );
    Ok(())
}
