//! Reads the properties `database.…` from a database.

use tokio_postgres::Client;

use crate::database_properties::DatabaseProperties;
use crate::error::Error;
use crate::history::tables::Tables;
use crate::locations::Locations;

impl DatabaseProperties {
    /// Reads the properties of the database of a connection.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn read(client: &Client, locations: &Locations) -> Result<Self, Error> {
        let tables = Tables::locate(client, locations).await?;
        let sql = "SELECT (current_setting('server_version_num')::int / 10000)::text, \
                   (current_setting('server_version_num')::int % 10000)::text, current_setting('server_version'), \
                   current_database()::text, COALESCE(host(inet_server_addr()) IN ('127.0.0.1', '::1'), true)::text";
        let row = client
            .query_typed_one(sql, &[])
            .await
            .map_err(Error::database("reading the properties of the database"))?;
        let prefix = format!(".{}", tables.schema);
        let values = [row.get(0), row.get(1), row.get(2), row.get(3), tables.schema, prefix, row.get::<_, String>(4)];
        Ok(Self::from_values(values))
    }
}
