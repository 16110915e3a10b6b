//! The tables DATABASECHANGELOG and DATABASECHANGELOGLOCK, exactly as Liquibase 4.28 creates them.
//!
//! They are in the connection's default schema unless the [`Locations`] of the run say otherwise. Tables of older versions get the columns
//! they lack.

use futures_util::future::try_join;
use tokio_postgres::{GenericClient, Row};

use super::{History, HistoryRow};
use crate::checksum::Checksum;
use crate::error::Error;
use crate::locations::Locations;
use crate::sql::{Dialect, Quoting, folded, texts};

pub(super) const CHANGELOG_COLUMNS: &str = "id VARCHAR(255) NOT NULL, author VARCHAR(255) NOT NULL, filename VARCHAR(255) NOT NULL, \
    dateexecuted TIMESTAMP WITHOUT TIME ZONE NOT NULL, orderexecuted INTEGER NOT NULL, exectype VARCHAR(10) NOT NULL, \
    md5sum VARCHAR(35), description VARCHAR(255), comments VARCHAR(255), tag VARCHAR(255), liquibase VARCHAR(20), \
    contexts VARCHAR(255), labels VARCHAR(255), deployment_id VARCHAR(10)";

pub(super) const LOCK_COLUMNS: &str = "id INTEGER NOT NULL, locked BOOLEAN NOT NULL, lockgranted TIMESTAMP WITHOUT TIME ZONE, \
    lockedby VARCHAR(255)";

/// Columns that older versions did not have: name, type, and the value of existing rows if the column must not be NULL.
const LATER_COLUMNS: &[(&str, &str, Option<&str>)] = &[
    ("description", "VARCHAR(255)", None),
    ("tag", "VARCHAR(255)", None),
    ("comments", "VARCHAR(255)", None),
    ("liquibase", "VARCHAR(20)", None),
    ("orderexecuted", "INTEGER", Some("-1")),
    ("exectype", "VARCHAR(10)", Some("'EXECUTED'")),
    ("contexts", "VARCHAR(255)", None),
    ("labels", "VARCHAR(255)", None),
    ("deployment_id", "VARCHAR(10)", None),
];

/// Columns that were narrower in older versions, and their width now.
const WIDENED_COLUMNS: &[(&str, i32)] = &[("md5sum", 35), ("liquibase", 20), ("contexts", 255), ("labels", 255)];

/// The columns that are read, in the order of [`history_row`].
const READ_COLUMNS: &[&str] = &[
    "id",
    "author",
    "filename",
    "dateexecuted",
    "orderexecuted",
    "exectype",
    "md5sum",
    "description",
    "comments",
    "tag",
    "liquibase",
    "contexts",
    "labels",
    "deployment_id",
];

/// The columns that a plan depends on.
const PLANNED_COLUMNS: &[&str] = &["id", "author", "filename", "orderexecuted", "md5sum", "tag"];

/// The columns of DATABASECHANGELOG with their widths.
#[derive(Debug)]
pub(crate) struct Columns(Vec<(String, Option<i32>)>);

/// The two tables of a run.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// The schema of names without a schema.
    pub(crate) schema: String,
    /// DATABASECHANGELOG, as SQL.
    pub(crate) changelog: String,
    /// DATABASECHANGELOGLOCK, as SQL.
    pub(crate) lock: String,
    /// The primary key of DATABASECHANGELOGLOCK, as SQL.
    pub(super) lock_key: String,
}

impl Tables {
    /// The names of the tables, whether or not they exist.
    pub(crate) async fn locate(client: &impl GenericClient, locations: &Locations) -> Result<Self, Error> {
        let table = |name: &Option<String>| name.as_ref().map(|name| name.to_lowercase());
        let schema = match locations.default_schema.as_deref().map(folded) {
            Some(schema) => schema,
            None => current_schema(client).await?,
        };
        let dialect = Dialect { schema, quoting: Quoting::Legacy, is_script: false };
        let liquibase_schema = locations.liquibase_schema.as_deref().map(folded);
        let changelog = table(&locations.changelog_table).unwrap_or_else(|| "databasechangelog".to_owned());
        let lock = table(&locations.lock_table).unwrap_or_else(|| "databasechangeloglock".to_owned());
        Ok(Self {
            changelog: dialect.qualified_name(liquibase_schema.as_deref(), &changelog),
            lock: dialect.qualified_name(liquibase_schema.as_deref(), &lock),
            lock_key: dialect.name(&format!("{lock}_pkey")),
            schema: dialect.schema,
        })
    }

    /// Whether the two tables exist: DATABASECHANGELOG, DATABASECHANGELOGLOCK.
    pub(crate) async fn exist(&self, client: &impl GenericClient) -> Result<(bool, bool), Error> {
        let sql = "SELECT to_regclass($1) IS NOT NULL, to_regclass($2) IS NOT NULL";
        let failed = Error::database("looking for the Liquibase tables");
        let row = client.query_typed_one(sql, &texts(&[&self.changelog, &self.lock])).await.map_err(failed)?;
        Ok((row.get(0), row.get(1)))
    }

    /// The columns of DATABASECHANGELOG with their widths; empty if the table does not exist.
    async fn columns(&self, client: &impl GenericClient) -> Result<Columns, Error> {
        let sql = "SELECT attname::text, CASE WHEN atttypid = 'varchar'::regtype AND atttypmod > 4 THEN atttypmod - 4 END \
                   FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let rows = client
            .query_typed(sql, &texts(&[&self.changelog]))
            .await
            .map_err(Error::database("looking for databasechangelog"))?;
        Ok(Columns(rows.iter().map(|row| (row.get(0), row.get(1))).collect()))
    }

    /// Creates the tables, or adds to them what is missing.
    pub(crate) async fn prepare(&self, client: &impl GenericClient) -> Result<(), Error> {
        let Self { changelog, lock, lock_key, .. } = self;
        let mut sql = format!(
            "CREATE TABLE IF NOT EXISTS {lock} ({LOCK_COLUMNS}, CONSTRAINT {lock_key} PRIMARY KEY (id)); \
             INSERT INTO {lock} (id, locked) VALUES (1, FALSE) ON CONFLICT DO NOTHING; "
        );
        let columns = self.columns(client).await?;
        if columns.0.is_empty() {
            sql.push_str(&format!("CREATE TABLE IF NOT EXISTS {changelog} ({CHANGELOG_COLUMNS}); "));
        } else {
            sql.push_str(&upgrade_sql(changelog, &columns));
        }
        // Without this, PostgreSQL sends a notice on every run that the tables exist.
        let sql = format!("SET LOCAL client_min_messages = warning; {sql}");
        client.batch_execute(&sql).await.map_err(Error::database("creating the Liquibase tables"))
    }

    /// The columns of DATABASECHANGELOG, if both tables exist and lack nothing.
    pub(crate) async fn current_columns(&self, client: &impl GenericClient) -> Result<Option<Columns>, Error> {
        let (columns, (_, has_lock)) = try_join(self.columns(client), self.exist(client)).await?;
        let is_current = has_lock && !columns.0.is_empty() && upgrade_sql(&self.changelog, &columns).is_empty();
        Ok(is_current.then_some(columns))
    }

    /// All rows. If the table does not exist, the history is empty.
    pub(crate) async fn read(&self, client: &impl GenericClient) -> Result<History, Error> {
        let columns = self.columns(client).await?;
        if columns.0.is_empty() {
            return Ok(History::default());
        }
        self.read_columns(client, &columns, READ_COLUMNS).await
    }

    /// All rows with what a plan depends on; the other fields are empty.
    pub(crate) async fn read_for_plan(&self, client: &impl GenericClient, columns: &Columns) -> Result<History, Error> {
        self.read_columns(client, columns, PLANNED_COLUMNS).await
    }

    /// All rows of a table that has these columns, as far as they are `wanted`.
    async fn read_columns(
        &self,
        client: &impl GenericClient,
        columns: &Columns,
        wanted: &[&str],
    ) -> Result<History, Error> {
        let expressions: Vec<String> = READ_COLUMNS
            .iter()
            .map(|name| match *name {
                name if !wanted.contains(&name) => "NULL::text".to_owned(),
                "dateexecuted" => "to_char(dateexecuted, 'YYYY-MM-DD HH24:MI:SS.US')".to_owned(),
                "orderexecuted" if has_column(columns, name) => "orderexecuted::int".to_owned(),
                "orderexecuted" => "-1".to_owned(),
                name if has_column(columns, name) => format!("{name}::text"),
                _ => "NULL::text".to_owned(),
            })
            .collect();
        let order = if has_column(columns, "orderexecuted") { ", orderexecuted" } else { "" };
        let sql = format!("SELECT {} FROM {} ORDER BY dateexecuted{order}", expressions.join(", "), self.changelog);
        let rows = client.query_typed(&sql, &[]).await.map_err(Error::database("reading databasechangelog"))?;
        Ok(History::new(rows.iter().map(history_row).collect()))
    }

    /// Writes a checksum into all rows of a changeset.
    pub(crate) async fn set_checksum(
        &self,
        client: &impl GenericClient,
        row: &HistoryRow,
        checksum: &Checksum,
    ) -> Result<(), Error> {
        let failed = Error::database("upgrading a checksum in databasechangelog");
        client.batch_execute(&self.set_checksum_sql(row, checksum)).await.map_err(failed)
    }

    /// Clears every checksum.
    pub(crate) async fn clear_checksums(&self, client: &impl GenericClient) -> Result<(), Error> {
        let failed = Error::database("clearing the checksums of databasechangelog");
        client.batch_execute(&format!("UPDATE {} SET MD5SUM = NULL", self.changelog)).await.map_err(failed)
    }
}

/// The schema in which the connection creates objects.
async fn current_schema(client: &impl GenericClient) -> Result<String, Error> {
    let row = client
        .query_typed_one("SELECT current_schema()::text", &[])
        .await
        .map_err(Error::database("asking for the current schema"))?;
    row.get::<_, Option<String>>(0).ok_or(Error::NoSchema)
}

fn has_column(columns: &Columns, name: &str) -> bool {
    columns.0.iter().any(|(column, _)| column == name)
}

/// The SQL that adapts a table of an older version.
fn upgrade_sql(table: &str, columns: &Columns) -> String {
    let mut sql = String::new();
    for (name, kind, fill) in LATER_COLUMNS.iter().filter(|(name, ..)| !has_column(columns, name)) {
        sql.push_str(&format!("ALTER TABLE {table} ADD {name} {kind}; "));
        if let Some(fill) = fill {
            sql.push_str(&format!(
                "UPDATE {table} SET {name} = {fill}; ALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL; "
            ));
        }
    }
    for (name, width) in WIDENED_COLUMNS {
        if columns.0.iter().any(|(column, now)| column == name && now.is_some_and(|now| now < *width)) {
            sql.push_str(&format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE VARCHAR({width}); "));
        }
    }
    sql
}

fn history_row(row: &Row) -> HistoryRow {
    let text = |index: usize| row.get::<_, Option<String>>(index);
    let filled = |index: usize| text(index).unwrap_or_default();
    HistoryRow {
        id: filled(0),
        author: filled(1),
        file: filled(2),
        date_executed: filled(3),
        order_executed: row.get(4),
        exec_type: filled(5),
        checksum: text(6),
        description: text(7),
        comments: text(8),
        tag: text(9),
        liquibase: text(10),
        contexts: text(11),
        labels: text(12),
        deployment_id: text(13),
    }
}
