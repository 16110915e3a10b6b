//! One migrator at a time.
//!
//! Two locks, because two kinds of others are kept out. A PostgreSQL advisory lock of the session keeps out every other user of
//! this crate, and vanishes with the connection however the process ends. The row in DATABASECHANGELOGLOCK keeps out the
//! Liquibase CLI; it is taken only while there is something to do. The row is only ever written by a holder of the advisory lock,
//! so a row with our mark that is found by a new holder was left by a process that is gone, and is taken over.
//!
//! Waiting is bounded, and the log says for whom and since when. The connection must be a session of PostgreSQL's own: behind
//! a pooler that shares sessions between transactions no advisory lock holds.

use std::net::UdpSocket;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;

use crate::error::Error;
use crate::history::table::Tables;

/// The key of the advisory lock: "liquibas" in ASCII.
const ADVISORY_KEY: i64 = 0x6c69_7175_6962_6173;
/// What our rows carry after the host name, where Liquibase puts its host description.
const MARK: &str = "#liquibase-compat";
/// How long one question about the lock may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The first sleep between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How often the log repeats who is waited for.
const REPEAT_LOG_AFTER: Duration = Duration::from_secs(10);

/// How to wait for the lock.
#[derive(Debug, Clone)]
pub struct LockOptions {
    /// How long to wait for another holder before giving up.
    pub wait: Duration,
    /// How long to sleep between two attempts, at most.
    pub poll: Duration,
}

impl Default for LockOptions {
    /// Five minutes, looking once a second.
    fn default() -> Self {
        Self { wait: Duration::from_secs(300), poll: Duration::from_secs(1) }
    }
}

/// The right to migrate a database, together with the connection it is bound to.
///
/// Release it with [`Lock::release`]. If it is dropped instead, the advisory lock stays until the connection is closed: use a
/// connection of its own, not one that goes back to a pool.
#[derive(Debug)]
pub struct Lock<'c> {
    client: &'c mut Client,
    options: LockOptions,
}

/// Who holds a lock, and since when.
struct Holder {
    name: String,
    since: String,
}

impl<'c> Lock<'c> {
    /// Waits for the advisory lock and takes it.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process still holds it after [`LockOptions::wait`].
    pub async fn acquire(client: &'c mut Client, options: &LockOptions) -> Result<Self, Error> {
        let mut waiting = Waiting::new(options);
        loop {
            let sql = "SELECT pg_try_advisory_lock($1)";
            let row = answer("taking the migration lock", client.query_one(sql, &[&ADVISORY_KEY])).await?;
            if row.get(0) {
                return Ok(Self { client, options: options.clone() });
            }
            let holder = session_holder(client).await?;
            waiting.next(holder).await?;
        }
    }

    /// The connection, to do other work under the same lock.
    pub fn client(&mut self) -> &mut Client {
        self.client
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// When the connection is broken, in which case PostgreSQL has released the lock or will do so.
    pub async fn release(self) -> Result<(), Error> {
        let sql = "SELECT pg_advisory_unlock($1)";
        answer("releasing the migration lock", self.client.execute(sql, &[&ADVISORY_KEY])).await?;
        Ok(())
    }

    /// Waits for the row of DATABASECHANGELOGLOCK and takes it.
    pub(crate) async fn take_row(&mut self, tables: &Tables) -> Result<(), Error> {
        let me = own_name();
        let take = format!(
            "UPDATE {} SET locked = TRUE, lockedby = $1, lockgranted = NOW() WHERE id = 1 AND locked = FALSE",
            tables.lock
        );
        let mut waiting = Waiting::new(&self.options);
        loop {
            if answer("taking databasechangeloglock", self.client.execute(&take, &[&me])).await? == 1 {
                return Ok(());
            }
            let Some(holder) = self.row_holder(tables).await? else {
                continue;
            };
            if holder.name.contains(MARK) {
                if self.take_over(tables, &holder, &me).await? {
                    return Ok(());
                }
            } else {
                waiting.next(Some(holder)).await?;
            }
        }
    }

    /// Frees the row where a process of ours left it that is gone: of us, only the holder of the advisory lock lives.
    pub(crate) async fn heal_row(&mut self, tables: &Tables) -> Result<(), Error> {
        let sql = format!(
            "UPDATE {} SET locked = FALSE, lockedby = NULL, lockgranted = NULL \
             WHERE id = 1 AND locked AND strpos(lockedby, $1) > 0",
            tables.lock
        );
        if answer("freeing databasechangeloglock", self.client.execute(&sql, &[&MARK])).await? > 0 {
            tracing::warn!("a migration lock was left by a process of ours that is gone; it is free again");
        }
        Ok(())
    }

    /// Gives the row back.
    pub(crate) async fn release_row(&mut self, tables: &Tables) -> Result<(), Error> {
        let sql =
            format!("UPDATE {} SET locked = FALSE, lockedby = NULL, lockgranted = NULL WHERE id = 1", tables.lock);
        answer("releasing databasechangeloglock", self.client.execute(&sql, &[])).await?;
        Ok(())
    }

    /// Who holds the row; none if it is free, or if it is missing and has just been made again.
    async fn row_holder(&self, tables: &Tables) -> Result<Option<Holder>, Error> {
        let sql = format!(
            "SELECT locked, COALESCE(lockedby, 'UNKNOWN'), COALESCE(lockgranted::text, 'an unknown time') FROM {} WHERE id = 1",
            tables.lock
        );
        let row = answer("reading databasechangeloglock", self.client.query_opt(&sql, &[])).await?;
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
            answer("taking over databasechangeloglock", self.client.execute(&sql, &[&me, &holder.name])).await?;
        Ok(changed == 1)
    }
}

/// The bounded wait for another holder.
struct Waiting {
    started: Instant,
    logged: Option<Instant>,
    wait: Duration,
    poll: Duration,
    /// The next sleep: short at first, because most holders are soon done.
    pause: Duration,
}

impl Waiting {
    fn new(options: &LockOptions) -> Self {
        let pause = FIRST_PAUSE.min(options.poll);
        Self { started: Instant::now(), logged: None, wait: options.wait, poll: options.poll, pause }
    }

    /// Sleeps until the next attempt.
    async fn next(&mut self, holder: Option<Holder>) -> Result<(), Error> {
        let unknown = || Holder { name: "a session that just ended".to_owned(), since: "now".to_owned() };
        let holder = holder.unwrap_or_else(unknown);
        let waited = self.started.elapsed();
        if waited >= self.wait {
            return Err(Error::Locked { holder: holder.name, since: holder.since, waited });
        }
        if self.logged.is_none_or(|logged| logged.elapsed() >= REPEAT_LOG_AFTER) {
            self.logged = Some(Instant::now());
            tracing::warn!(
                holder = holder.name,
                since = holder.since,
                gives_up_in_seconds = (self.wait - waited).as_secs(),
                "waiting for the migration lock"
            );
        }
        sleep(self.pause.min(self.wait - waited)).await;
        self.pause = (self.pause * 2).min(self.poll);
        Ok(())
    }
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
    let row = answer("asking who holds the migration lock", client.query_opt(sql, &[&ADVISORY_KEY])).await?;
    Ok(row.map(|row| Holder { name: row.get(0), since: row.get::<_, Option<String>>(1).unwrap_or_default() }))
}

/// An answer of the database, bounded in time.
async fn answer<T>(
    doing: &'static str,
    question: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match timeout(ANSWER_WITHIN, question).await {
        Ok(answer) => answer.map_err(Error::database(doing)),
        Err(_) => Err(Error::NoAnswer { doing, after: ANSWER_WITHIN }),
    }
}

/// `hostname#liquibase-compat-PID (address)`: Liquibase's form, with our mark.
fn own_name() -> String {
    name_with(&format!("{MARK}-{}", std::process::id()))
}

/// `hostname (address)`: for a lock that is held without the advisory lock, so that nobody takes it for left behind.
pub(crate) fn plain_name() -> String {
    name_with("")
}

fn name_with(mark: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "localhost" } else { host };
    format!("{host}{mark} ({})", own_address()).chars().take(255).collect()
}

/// The address of the interface that leads out. Nothing is sent: connecting a datagram socket only chooses a route.
fn own_address() -> String {
    let chosen = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    chosen.map_or_else(|_| "127.0.0.1".to_owned(), |address| address.ip().to_string())
}
