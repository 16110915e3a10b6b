//! Triggers that announce every change of a table, those by other programs included.
//!
//! Policy: a statement trigger for INSERT, UPDATE, DELETE and TRUNCATE sends NOTIFY on the channel of all tables, except for
//! sessions whose `application_name` is exactly [`SILENT_NAME`]: those of an appliance whose writes no other process needs to receive. The
//! payload is `*`, or the `application_name` of an appliance that has to recognise its own writes ([`named_instance`]).
//!
//! The function looks at the name first. A `WHEN` clause could do that, but PostgreSQL reads and plans it anew for each statement (`docs/adr/0022-announced-writes.md`).
//! There is one trigger for all events, because each statement copies the descriptions of all triggers of its table. The
//! triggers fire after the statement, because a write in a shared session sets its name itself.
//!
//! A trigger must not make a statement of another program fail, nor make it slow. So it reads no table, no row and no transition table (COPY of
//! a million rows costs the same as one row); its payload has at most 63 bytes; it calls only what no privilege can forbid (NOTIFY is a
//! statement, not a function); every name is qualified, because it runs with the search path of the other program. The usual
//! announcement is a constant statement, which is not parsed again. What the function returns has no meaning; `NEW`, unlike `NULL`, is no expression that has to be
//! evaluated. The triggers fire also while `session_replication_role` is `replica`. Notifications of one transaction with one payload are one, and a
//! transaction that rolls back sends none.
//!
//! The triggers are no changeset: the configuration decides whether they exist, Liquibase's history stays what other programs expect, and
//! they are repaired at each start. What is as it should be is not touched, because CREATE TRIGGER waits for writers. A role that
//! does not own the table cannot create them; that is no error of the start.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::error::with_causes;

/// Sessions with this `application_name` are not announced.
pub const SILENT_NAME: &str = "attendance-api";
/// The name of the trigger of each table.
const TRIGGER: &str = "attendance_api_announce";
/// The `tgtype` of a trigger after statements (0) that insert (4), delete (8), update (16) or truncate (32).
const TRIGGER_TYPE: i16 = 4 + 8 + 16 + 32;
/// The schema of the function of a table's triggers.
const SCHEMA: &str = "attendance_api";
/// The comment of the function; increase the number when the function or the triggers change.
const VERSION: &str = "announces changes of a table to attendance-api (version 4)";
/// How long the creation may wait for transactions that write to the table, and hold back others.
const LOCK_TIMEOUT: &str = "3s";

/// The channel of all announcements. It has the name of the first table, because instances of earlier versions listen to it.
pub const CHANNEL: &str = "attendance_api_records";

/// A table whose changes are announced.
#[derive(Debug, Clone, Copy)]
struct WatchedTable {
    /// Its name, which is found by the search path of the appliance's sessions.
    name: &'static str,
}

/// The tables that answers depend on.
const WATCHED_TABLES: [WatchedTable; 3] =
    [WatchedTable { name: "records" }, WatchedTable { name: "employees" }, WatchedTable { name: "calendar_days" }];

/// Why a table's changes are not announced.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// The role may not create triggers on the table.
    #[error(
        "the role of postgres.user may not create triggers on `{table}` ({message}); give it the table (ALTER TABLE {table} OWNER TO …), or start the appliance once as the owner"
    )]
    NotOwner {
        /// The table.
        table: &'static str,
        /// The server's words.
        message: String,
    },
    /// Another transaction wrote to the table for too long.
    #[error("another transaction has used `{table}` for more than {LOCK_TIMEOUT}; they are created at the next start")]
    Locked {
        /// The table.
        table: &'static str,
    },
    /// A statement failed.
    #[error("{}", with_causes(.0))]
    Statement(#[from] tokio_postgres::Error),
}

/// The `application_name` of an appliance that needs notifications of the writes of others and has to recognise its own.
pub fn named_instance(number: u64) -> String {
    format!("{SILENT_NAME}/{number:016x}")
}

/// An SQL expression: whether all triggers of all tables are there and fire.
pub fn are_watched_sql() -> String {
    let tables: Vec<String> = WATCHED_TABLES.iter().map(WatchedTable::is_watched_sql).collect();
    format!("({})", tables.join(" AND "))
}

/// Creates the triggers of all tables, unless they are there.
///
/// # Errors
/// When the role may not, or a statement fails. Nothing has changed then at the table of the error.
pub async fn install(client: &mut Client) -> Result<(), TriggerError> {
    for table in WATCHED_TABLES {
        table.install(client).await?;
    }
    Ok(())
}

/// Drops the triggers of all tables, if there are any.
///
/// # Errors
/// When the role may not, or a statement fails. Nothing has changed then at the table of the error.
pub async fn remove(client: &mut Client) -> Result<(), TriggerError> {
    for table in WATCHED_TABLES {
        table.remove(client).await?;
    }
    Ok(())
}

impl WatchedTable {
    /// The function of its trigger.
    fn function(&self) -> String {
        format!("announce_change_of_{}", self.name)
    }

    /// An SQL expression: the oid of the function, also for a role that may not use the schema.
    fn function_oid_sql(&self) -> String {
        format!(
            "(SELECT pg_proc.oid FROM pg_catalog.pg_proc JOIN pg_catalog.pg_namespace \
             ON pg_namespace.oid OPERATOR(pg_catalog.=) pronamespace WHERE nspname OPERATOR(pg_catalog.=) '{SCHEMA}' \
             AND proname OPERATOR(pg_catalog.=) '{}' AND pronargs OPERATOR(pg_catalog.=) 0)",
            self.function()
        )
    }

    /// An SQL expression: whether the trigger is there, fires, and does so for all events.
    fn is_watched_sql(&self) -> String {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_trigger \
             WHERE tgrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('{table}') AND tgenabled OPERATOR(pg_catalog.=) 'A' \
             AND tgname OPERATOR(pg_catalog.=) '{TRIGGER}' AND tgtype OPERATOR(pg_catalog.=) {TRIGGER_TYPE} \
             AND tgfoid OPERATOR(pg_catalog.=) {function})",
            table = self.name,
            function = self.function_oid_sql(),
        )
    }

    /// Creates the trigger, unless it is there.
    async fn install(&self, client: &mut Client) -> Result<(), TriggerError> {
        let current = format!(
            "SELECT {} AND pg_catalog.obj_description({}, 'pg_proc') = '{VERSION}'",
            self.is_watched_sql(),
            self.function_oid_sql()
        );
        if client.query_typed_one(&current, &[]).await?.get::<_, Option<bool>>(0) == Some(true) {
            return Ok(());
        }
        self.change(client, &self.creation()).await?;
        tracing::info!(table = self.name, "changes by other programs are announced by a trigger");
        Ok(())
    }

    /// Drops the trigger, if there is one.
    async fn remove(&self, client: &mut Client) -> Result<(), TriggerError> {
        let any = format!(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = pg_catalog.to_regclass('{}') \
             AND tgfoid = {})",
            self.name,
            self.function_oid_sql()
        );
        if !client.query_typed_one(&any, &[]).await?.get::<_, bool>(0) {
            return Ok(());
        }
        self.change(client, &self.removal()).await?;
        tracing::info!(table = self.name, "the trigger that announced changes by other programs is removed");
        Ok(())
    }

    async fn change(&self, client: &mut Client, statements: &str) -> Result<(), TriggerError> {
        let run = async {
            let transaction = client.transaction().await?;
            transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")).await?;
            transaction.batch_execute(statements).await?;
            transaction.commit().await
        };
        run.await.map_err(|error: tokio_postgres::Error| match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                let message = error.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default();
                TriggerError::NotOwner { table: self.name, message }
            }
            Some(&SqlState::LOCK_NOT_AVAILABLE) => TriggerError::Locked { table: self.name },
            _ => TriggerError::Statement(error),
        })
    }

    /// Drops the function with each trigger that calls it, those of other names included.
    fn removal(&self) -> String {
        format!(
            "DROP FUNCTION IF EXISTS {SCHEMA}.{}() CASCADE; DROP TRIGGER IF EXISTS {TRIGGER} ON {}; ",
            self.function(),
            self.name
        )
    }

    fn creation(&self) -> String {
        let (function, removal, table) = (self.function(), self.removal(), self.name);
        format!(
            "{removal} \
             CREATE FUNCTION {SCHEMA}.{function}() RETURNS trigger LANGUAGE plpgsql AS $function$ \
             BEGIN \
                 IF pg_catalog.current_setting('application_name') OPERATOR(pg_catalog.=) '{SILENT_NAME}' THEN \
                     RETURN NEW; \
                 ELSIF pg_catalog.current_setting('application_name') OPERATOR(pg_catalog.~~) '{SILENT_NAME}/%' THEN \
                     EXECUTE pg_catalog.format('NOTIFY {CHANNEL}, %L', pg_catalog.current_setting('application_name')); \
                 ELSE \
                     NOTIFY {CHANNEL}, '*'; \
                 END IF; \
                 RETURN NEW; \
             END $function$; \
             COMMENT ON FUNCTION {SCHEMA}.{function}() IS '{VERSION}'; \
             CREATE TRIGGER {TRIGGER} AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT \
             EXECUTE FUNCTION {SCHEMA}.{function}(); \
             ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TRIGGER}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_instance_is_no_silent_one_and_fits_into_a_name() {
        let name = named_instance(u64::MAX);
        assert!(name != SILENT_NAME && name.len() < 63, "{name}");
    }
}
