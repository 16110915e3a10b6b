//! The database of the appliance inside of the managed cluster: made once, and found again if it was renamed.
//!
//! Policy: a database that exists is used regardless of its origin, because an administrator may have restored it. Without one of that name, a single
//! database with the appliance's tables is the one that was renamed, and gets its name back. A database that was dropped is not
//! replaced by an empty one, in which every record would be missing without an error.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tracing::warn;

use super::cluster::Cluster;
use super::endpoint::Endpoint;
use super::postgres_error::{Error, with_timeout};
use super::roles;

/// The databases that are searched for the tables of the appliance.
const MAX_SEARCHED: i64 = 32;

/// Connects to the database, as the superuser; makes it in a new cluster.
///
/// # Errors
/// When the server refuses the superuser, or the database was dropped.
pub(super) async fn open(endpoint: &Endpoint, cluster: &Cluster) -> Result<Client, Error> {
    let name = &endpoint.database;
    if cluster.is_new {
        create(&maintenance(endpoint).await?, name).await?;
    }
    let error = match connect(endpoint, name).await {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    let Error::Query { source, .. } = &error else { return Err(error) };
    match source.code() {
        Some(&SqlState::INVALID_CATALOG_NAME) => {
            let client = maintenance(endpoint).await?;
            match renamed(endpoint, &client).await?.as_slice() {
                [found] => {
                    warn!("the database {name} had been renamed to {found}; it gets its name back");
                    rename(&client, found, name).await?;
                }
                // An earlier start ended before it had made the database and, after it, the roles.
                [] if !roles::exist(&client).await? => create(&client, name).await?,
                [] => return Err(Error::DatabaseDropped { name: name.clone(), path: cluster.path.clone() }),
                found => {
                    let found = found.to_vec();
                    return Err(Error::DatabaseUnclear { name: name.clone(), path: cluster.path.clone(), found });
                }
            }
        }
        Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) => {
            warn!("the database {name} accepted no connections; it does again");
            let allow = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", quoted(name));
            let client = maintenance(endpoint).await?;
            with_timeout("allowing connections to the database", client.batch_execute(&allow)).await?;
        }
        _ => return Err(error),
    }
    connect(endpoint, name).await
}

async fn connect(endpoint: &Endpoint, name: &str) -> Result<Client, Error> {
    with_timeout("connecting", endpoint.database_named(name)?.open()).await
}

/// Connects to a database that exists if that of the appliance does not.
async fn maintenance(endpoint: &Endpoint) -> Result<Client, Error> {
    let [first, second] = endpoint.maintenance_databases()?;
    match with_timeout("connecting", first.open()).await {
        Err(Error::Query { source, .. }) if source.code() == Some(&SqlState::INVALID_CATALOG_NAME) => {
            with_timeout("connecting", second.open()).await
        }
        connected => connected,
    }
}

/// The databases that have the tables of the appliance.
async fn renamed(endpoint: &Endpoint, client: &Client) -> Result<Vec<String>, Error> {
    let names = "SELECT datname::text FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres' \
        ORDER BY oid LIMIT $1";
    let rows =
        with_timeout("looking for its database", client.query_typed(names, &[(&MAX_SEARCHED, Type::INT8)])).await?;
    let mut found = Vec::new();
    for row in rows {
        let name: String = row.get(0);
        let client = connect(endpoint, &name).await?;
        let is_ours = "SELECT to_regclass('attendance_api.identity') IS NOT NULL";
        let row = with_timeout("looking for its database", client.query_typed_one(is_ours, &[])).await?;
        if row.get(0) {
            found.push(name);
        }
    }
    Ok(found)
}

/// The server waits a few seconds for the end of the connections to the database.
async fn rename(client: &Client, from: &str, to: &str) -> Result<(), Error> {
    let statement = format!("ALTER DATABASE {} RENAME TO {}", quoted(from), quoted(to));
    with_timeout("renaming the database", client.batch_execute(&statement)).await
}

async fn create(client: &Client, name: &str) -> Result<(), Error> {
    let statement = format!("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0", quoted(name));
    with_timeout("creating the database", client.batch_execute(&statement)).await
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
