//! SQL sent to a server directly, not through the appliance.

use std::path::Path;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls};

/// A blocking connection. Values are returned in PostgreSQL's text format, which is easy to compare.
pub(crate) struct Sql {
    // Declared first, so that the client is dropped before the runtime that drives it.
    client: Client,
    runtime: Runtime,
}

impl Sql {
    /// Connects; the error is a message that names the settings.
    pub(crate) fn connect(config: &Config) -> Result<Self, String> {
        let mut config = config.clone();
        config.connect_timeout(Duration::from_secs(10));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let (client, connection) =
            runtime.block_on(config.connect(NoTls)).map_err(|error| format!("{error}: {config:?}"))?;
        runtime.spawn(connection);
        Ok(Self { client, runtime })
    }

    /// Connection settings for a server on a Unix socket in `directory`.
    pub(crate) fn on_socket(directory: &Path, port: u16, user: &str, password: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(directory).port(port).user(user).password(password).dbname(database);
        config
    }

    /// Runs statements; fails with the server's error.
    pub(crate) fn run(&self, statements: &str) {
        self.try_run(statements).unwrap_or_else(|error| panic!("{error}\n{statements}"));
    }

    /// Runs statements; returns the server's error.
    pub(crate) fn try_run(&self, statements: &str) -> Result<(), String> {
        self.runtime.block_on(self.client.batch_execute(statements)).map_err(|error| format!("{error:?}"))
    }

    /// The rows of a query, each value as text.
    pub(crate) fn rows(&self, query: &str) -> Vec<Vec<Option<String>>> {
        let messages = self.runtime.block_on(self.client.simple_query(query));
        let messages = messages.unwrap_or_else(|error| panic!("{error:?}\n{query}"));
        let row = |message: &tokio_postgres::SimpleQueryMessage| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        };
        messages.iter().filter_map(row).collect()
    }

    /// The first value of the first row, as text; empty if it is null or there is no row.
    pub(crate) fn value(&self, query: &str) -> String {
        self.rows(query).into_iter().flatten().flatten().next().unwrap_or_default()
    }
}
