//! Only one program migrates a database at a time.
//!
//! There are two locks. A PostgreSQL advisory lock of the session excludes other users of this crate; it ends with the connection,
//! however the process ends. The row in DATABASECHANGELOGLOCK excludes the Liquibase CLI; it is taken only while there is something
//! to do. This crate writes the row only while it holds the advisory lock. If a new holder of the advisory lock finds a row with
//! this crate's mark, then the process that wrote it no longer exists, and the row is taken over.
//!
//! Waiting is bounded, and the log names the holder and the time since when it holds the lock.
//!
//! A pooler in transaction mode gives each transaction to another session, so that an advisory lock of the session would protect nothing, and
//! might never be released. There a second connection keeps the lock in a transaction that stays open ([`Lock::acquire_beside`]), and settings
//! of the session are left alone.

use std::net::UdpSocket;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::error::Error;
use crate::history::tables::Tables;
use crate::sql::texts;

/// The key of the advisory lock: "liquibas" in ASCII.
const ADVISORY_KEY: i64 = 0x6c69_7175_6962_6173;
/// The key as the parameter of a statement.
const KEY: [(&(dyn ToSql + Sync), Type); 1] = [(&ADVISORY_KEY, Type::INT8)];
/// Marks rows of this crate. It follows the host name, where Liquibase puts its host description.
const OWNER_MARK: &str = "#liquibase-compat";
/// The time limit of one query about the lock.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// The first sleep between two attempts.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
/// What a query about the lock is for, in messages.
const TAKING: &str = "taking the migration lock";
const RELEASING: &str = "releasing the migration lock";
/// How often the log repeats the holder during a wait.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// How to wait for the lock.
///
/// ```
/// use std::time::Duration;
/// use liquibase_compat::LockOptions;
///
/// let options = LockOptions::default().with_timeout(Duration::from_secs(30));
/// assert_eq!(options.max_backoff, Duration::from_secs(1));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LockOptions {
    /// How long to wait for another holder.
    pub timeout: Duration,
    /// The longest sleep between two attempts.
    pub max_backoff: Duration,
}

impl LockOptions {
    /// Sets how long to wait for another holder.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the longest sleep between two attempts.
    #[must_use]
    pub const fn with_max_backoff(mut self, max_backoff: Duration) -> Self {
        self.max_backoff = max_backoff;
        self
    }
}

impl Default for LockOptions {
    /// A timeout of five minutes, with at least one attempt per second.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(300), max_backoff: Duration::from_secs(1) }
    }
}

/// The right to migrate a database, together with the connection that holds it.
///
/// Release it with [`Lock::release`]. If it is dropped instead, the advisory lock remains until the connection is closed. Use a
/// separate connection, not one that returns to a pool.
///
/// ```no_run
/// use liquibase_compat::{Lock, LockOptions};
///
/// # async fn example(mut client: tokio_postgres::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let mut lock = Lock::acquire(&mut client, &LockOptions::default()).await?;
/// lock.client().batch_execute("CREATE SCHEMA IF NOT EXISTS app").await?;
/// lock.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Lock<'c> {
    client: &'c mut Client,
    /// The connection whose open transaction has the advisory lock, if that is not `client`.
    keeper: Option<Client>,
    options: LockOptions,
}

/// The holder of a lock, and since when it holds it.
struct Holder {
    name: String,
    since: String,
}

impl<'c> Lock<'c> {
    /// Waits for the advisory lock and takes it.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process still holds it after [`LockOptions::timeout`].
    pub async fn acquire(client: &'c mut Client, options: &LockOptions) -> Result<Self, Error> {
        let mut waiting = Waiting::new(options);
        loop {
            let sql = "SELECT pg_try_advisory_lock($1)";
            let row = bounded(TAKING, client.query_typed_one(sql, &KEY)).await?;
            if row.get(0) {
                return Ok(Self { client, keeper: None, options: options.clone() });
            }
            let holder = session_holder(client).await?;
            waiting.sleep(holder).await?;
        }
    }

    /// Like [`Lock::acquire`], for connections through a pooler in transaction mode: `keeper`, another connection to the same database, holds
    /// the lock in a transaction until the lock is released or dropped. The pooler needs a server connection for each of the two.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process still holds it after [`LockOptions::timeout`].
    pub async fn acquire_beside(client: &'c mut Client, keeper: Client, options: &LockOptions) -> Result<Self, Error> {
        let mut waiting = Waiting::new(options);
        loop {
            // The transaction waits for as long as the migrations take.
            let begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0";
            bounded(TAKING, keeper.batch_execute(begin)).await?;
            let sql = "SELECT pg_try_advisory_xact_lock($1)";
            let row = bounded(TAKING, keeper.query_typed_one(sql, &KEY)).await?;
            if row.get(0) {
                return Ok(Self { client, keeper: Some(keeper), options: options.clone() });
            }
            let holder = session_holder(&keeper).await?;
            // The next attempt is a new transaction, so that the pooler can use the server connection meanwhile.
            bounded(TAKING, keeper.batch_execute("ROLLBACK")).await?;
            waiting.sleep(holder).await?;
        }
    }

    /// Whether settings of the session stay with this connection, and with no other.
    pub(crate) fn owns_session(&self) -> bool {
        self.keeper.is_none()
    }

    /// The connection, for other work under this lock.
    pub fn client(&mut self) -> &mut Client {
        self.client
    }

    /// Releases the lock.
    ///
    /// # Errors
    /// When the connection is broken; PostgreSQL then releases the lock by itself.
    pub async fn release(self) -> Result<(), Error> {
        match &self.keeper {
            None => {
                let sql = "SELECT pg_advisory_unlock($1)";
                bounded(RELEASING, self.client.execute_typed(sql, &KEY)).await?;
            }
            Some(keeper) => bounded(RELEASING, keeper.batch_execute("COMMIT")).await?,
        }
        Ok(())
    }

    /// Waits for the row of DATABASECHANGELOGLOCK and takes it.
    pub(crate) async fn take_row(&mut self, tables: &Tables) -> Result<(), Error> {
        let me = marked_name();
        let take = format!(
            "UPDATE {} SET locked = TRUE, lockedby = $1, lockgranted = NOW() WHERE id = 1 AND locked = FALSE",
            tables.lock
        );
        let mut waiting = Waiting::new(&self.options);
        loop {
            if bounded("taking databasechangeloglock", self.client.execute_typed(&take, &texts(&[&me]))).await? == 1 {
                return Ok(());
            }
            let Some(holder) = self.row_holder(tables).await? else {
                continue;
            };
            if holder.name.contains(OWNER_MARK) {
                if self.take_over(tables, &holder, &me).await? {
                    return Ok(());
                }
            } else {
                waiting.sleep(Some(holder)).await?;
            }
        }
    }

    /// Releases the row if a process of this crate left it locked. Such a process no longer exists, because it would hold the
    /// advisory lock.
    pub(crate) async fn release_stale_row(&mut self, tables: &Tables) -> Result<(), Error> {
        let sql = format!(
            "UPDATE {} SET locked = FALSE, lockedby = NULL, lockgranted = NULL \
             WHERE id = 1 AND locked AND strpos(lockedby, $1) > 0",
            tables.lock
        );
        if bounded("freeing databasechangeloglock", self.client.execute_typed(&sql, &texts(&[&OWNER_MARK]))).await? > 0
        {
            tracing::warn!("a migration lock was left by a process of ours that is gone; it is free again");
        }
        Ok(())
    }

    /// Releases the row.
    pub(crate) async fn release_row(&mut self, tables: &Tables) -> Result<(), Error> {
        let sql =
            format!("UPDATE {} SET locked = FALSE, lockedby = NULL, lockgranted = NULL WHERE id = 1", tables.lock);
        bounded("releasing databasechangeloglock", self.client.execute_typed(&sql, &[])).await?;
        Ok(())
    }

    /// The holder of the row; `None` if the row is free, or was missing and has just been created.
    async fn row_holder(&self, tables: &Tables) -> Result<Option<Holder>, Error> {
        let sql = format!(
            "SELECT locked, COALESCE(lockedby, 'UNKNOWN'), COALESCE(lockgranted::text, 'an unknown time') FROM {} WHERE id = 1",
            tables.lock
        );
        let row = bounded("reading databasechangeloglock", self.client.query_typed_opt(&sql, &[])).await?;
        match row {
            Some(row) if row.get(0) => Ok(Some(Holder { name: row.get(1), since: row.get(2) })),
            Some(_) => Ok(None),
            None => {
                tables.prepare(&*self.client).await?;
                Ok(None)
            }
        }
    }

    async fn take_over(&self, tables: &Tables, holder: &Holder, me: &str) -> Result<bool, Error> {
        tracing::warn!(
            left_by = holder.name,
            since = holder.since,
            "a migration lock was left by a process of ours that is gone; taking it over"
        );
        let sql = format!(
            "UPDATE {} SET lockedby = $1, lockgranted = NOW() WHERE id = 1 AND locked AND lockedby = $2",
            tables.lock
        );
        let changed =
            bounded("taking over databasechangeloglock", self.client.execute_typed(&sql, &texts(&[&me, &holder.name])))
                .await?;
        Ok(changed == 1)
    }
}

/// A bounded wait for another holder.
struct Waiting {
    started: Instant,
    logged: Option<Instant>,
    timeout: Duration,
    max_backoff: Duration,
    /// The next sleep. It is short at first, because most holders finish soon.
    backoff: Duration,
}

impl Waiting {
    fn new(options: &LockOptions) -> Self {
        let LockOptions { timeout, max_backoff } = *options;
        let backoff = INITIAL_BACKOFF.min(max_backoff);
        Self { started: Instant::now(), logged: None, timeout, max_backoff, backoff }
    }

    /// Sleeps until the next attempt.
    async fn sleep(&mut self, holder: Option<Holder>) -> Result<(), Error> {
        let unknown = || Holder { name: "a session that just ended".to_owned(), since: "now".to_owned() };
        let holder = holder.unwrap_or_else(unknown);
        let waited = self.started.elapsed();
        if waited >= self.timeout {
            return Err(Error::Locked { holder: holder.name, since: holder.since, waited });
        }
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            self.logged = Some(Instant::now());
            tracing::warn!(
                holder = holder.name,
                since = holder.since,
                gives_up_in_seconds = (self.timeout - waited).as_secs(),
                "waiting for the migration lock"
            );
        }
        sleep(self.backoff.min(self.timeout - waited)).await;
        self.backoff = (self.backoff * 2).min(self.max_backoff);
        Ok(())
    }
}

/// Whether the row of DATABASECHANGELOGLOCK exists, and no process of this crate has locked it.
pub(crate) async fn is_row_free(client: &Client, tables: &Tables) -> Result<bool, Error> {
    let sql =
        format!("SELECT NOT (locked AND strpos(COALESCE(lockedby, ''), $1) > 0) FROM {} WHERE id = 1", tables.lock);
    let parameters = texts(&[&OWNER_MARK]);
    let row = bounded("reading databasechangeloglock", client.query_typed_opt(&sql, &parameters)).await?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// The database session that holds the advisory lock.
async fn session_holder(client: &Client) -> Result<Option<Holder>, Error> {
    let sql = "SELECT format('database session %s of %s%s from %s', a.pid, a.usename, \
                 CASE WHEN a.application_name = '' THEN '' ELSE ' (' || a.application_name || ')' END, \
                 COALESCE(host(a.client_addr), 'this host')), a.backend_start::text \
               FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
               WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
               AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
               AND ((l.classid::bigint << 32) | l.objid::bigint) = $1";
    let row = bounded("asking who holds the migration lock", client.query_typed_opt(sql, &KEY)).await?;
    Ok(row.map(|row| Holder { name: row.get(0), since: row.get::<_, Option<String>>(1).unwrap_or_default() }))
}

/// The result of a query, with a time limit.
async fn bounded<T>(
    doing: &'static str,
    query: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match timeout(QUERY_TIMEOUT, query).await {
        Ok(result) => result.map_err(Error::database(doing)),
        Err(_) => Err(Error::NoAnswer { doing, after: QUERY_TIMEOUT }),
    }
}

/// `hostname#liquibase-compat-PID (address)`: Liquibase's form, with the mark of this crate.
fn marked_name() -> String {
    name_with(&format!("{OWNER_MARK}-{}", std::process::id()))
}

/// `hostname (address)`, for a lock that is held without the advisory lock. Without the mark it is not taken over.
pub(crate) fn unmarked_name() -> String {
    name_with("")
}

fn name_with(mark: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "localhost" } else { host };
    format!("{host}{mark} ({})", own_address()).chars().take(255).collect()
}

/// The address of the network interface that routes to the internet. Nothing is sent: connecting a datagram socket only selects
/// a route.
fn own_address() -> String {
    let address = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    address.map_or_else(|_| "127.0.0.1".to_owned(), |address| address.ip().to_string())
}
