//! Poolers in front of PostgreSQL, such as PgBouncer, and what they permit.
//!
//! Policy: a pooler in session mode is like the server itself. One in transaction mode gives each transaction to any of its sessions, so
//! that nothing may be kept in a session: no prepared statement, no setting, no lock, no LISTEN. It is recognised at the start by asking two
//! connections that are open at the same time for their process number: only a pooler gives both the same, or one of them
//! another later. A pooler in statement mode has no transactions, which the migrations need; the start fails.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Database, Error};
use crate::config::Pooler;

/// How often the process numbers are asked for. A pooler usually gives itself away the first time.
const ATTEMPTS: usize = 8;
/// The second connection, or an answer, that takes longer says nothing: a pooler in session mode may have no session left.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whom a session belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// A connection has its session to itself.
    Session,
    /// Each transaction may have another session.
    Transaction,
}

/// What is known of the pooling of a database. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownPooling(Arc<OnceLock<Pooling>>);

impl KnownPooling {
    /// What the configuration says, if it says anything.
    pub(super) fn configured(pooler: Pooler) -> Self {
        let known = Self::default();
        match pooler {
            Pooler::Auto => {}
            Pooler::Session => known.set(Pooling::Session),
            Pooler::Transaction => known.set(Pooling::Transaction),
        }
        known
    }

    /// A server without a pooler.
    pub(super) fn none() -> Self {
        Self::configured(Pooler::Session)
    }

    fn set(&self, pooling: Pooling) {
        // The first finding holds.
        let _ = self.0.set(pooling);
    }

    /// The finding; without one, a session of one's own.
    pub(super) fn get(&self) -> Pooling {
        self.0.get().copied().unwrap_or(Pooling::Session)
    }
}

impl Database {
    /// Finds out whether there is a pooler in transaction mode, unless that is known. `client` is a connection to this database.
    ///
    /// # Errors
    /// When there is a pooler in statement mode.
    pub(super) async fn recognise_pooler(&self, client: &Client) -> Result<(), Error> {
        if self.pooling.0.get().is_some() {
            return Ok(());
        }
        let other = timeout(PROBE_TIMEOUT, self.open()).await;
        let pooling = match other {
            Ok(Ok(other)) => self.compare(client, &other).await?,
            // The server allows no further connection, which a pooler would.
            Ok(Err(_)) | Err(_) => Pooling::Session,
        };
        if pooling == Pooling::Transaction {
            tracing::info!(
                address = self.address(),
                "a pooler in transaction mode: statements are not prepared, and nothing is kept in sessions"
            );
        }
        self.pooling.set(pooling);
        Ok(())
    }

    async fn compare(&self, client: &Client, other: &Client) -> Result<Pooling, Error> {
        let mut first = None;
        for attempt in 0..ATTEMPTS {
            // A pooler may lend its sessions in turn: of two sessions, each would always meet the same client if the order did not change.
            let asked = if attempt % 2 == 0 {
                (process_number(client).await, process_number(other).await)
            } else {
                let others = process_number(other).await;
                (process_number(client).await, others)
            };
            let (Some(own), Some(others)) = asked else { return Ok(Pooling::Session) };
            let is_shared = own == others;
            let now = (own, others);
            if is_shared || *first.get_or_insert_with(|| now.clone()) != now {
                self.check_transactions(client).await?;
                return Ok(Pooling::Transaction);
            }
        }
        Ok(Pooling::Session)
    }

    /// Fails if a transaction cannot be begun.
    async fn check_transactions(&self, client: &Client) -> Result<(), Error> {
        let failed = |source| Error::StatementPooler { address: self.address().to_owned(), source };
        client.batch_execute("BEGIN").await.map_err(failed)?;
        client.batch_execute("ROLLBACK").await.map_err(failed)
    }
}

/// Whether PgBouncer has refused the user or the password.
pub(super) fn has_refused_login(error: &tokio_postgres::Error) -> bool {
    let refusals = ["SASL authentication failed", "password authentication failed", "no such user", "login rejected"];
    pooler_message(error).is_some_and(|text| refusals.iter().any(|refusal| text.starts_with(refusal)))
}

/// Whether there is no such database, in the words of PgBouncer or in those of the server, which it passes on.
pub(super) fn has_no_database(error: &tokio_postgres::Error) -> bool {
    pooler_message(error).is_some_and(|text| {
        text.starts_with("no such database") || text.starts_with("database ") && text.ends_with(" does not exist")
    })
}

/// The message of an error that PgBouncer reports: it has one code for all of them.
fn pooler_message(error: &tokio_postgres::Error) -> Option<&str> {
    let error = error.as_db_error()?;
    (*error.code() == SqlState::PROTOCOL_VIOLATION).then(|| error.message())
}

/// The process that serves the connection at present, if it says so in time.
async fn process_number(client: &Client) -> Option<String> {
    let query = client.simple_query("SELECT pg_catalog.pg_backend_pid()");
    let answer = timeout(PROBE_TIMEOUT, query).await.ok()?.ok()?;
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}
