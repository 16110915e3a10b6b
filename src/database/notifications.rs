//! One connection that listens to NOTIFY, and the proof that nothing was missed.
//!
//! Policy: after each successful LISTEN its listener is called, because earlier changes may have been missed. From then on one round trip in each
//! `PROOF_INTERVAL` proves that the connection works: PostgreSQL sends a session's notifications before the answer to a
//! statement that began after their commit, and this module passes them on in that order. So once the answer is here, every change that
//! was committed before the round trip began has been passed on. The round trip asks also whether the session is still the one that
//! listens (a pooler may have exchanged it), and whether the changes are still announced at all (the triggers may be gone). A connection without an
//! answer in time is replaced. The log has one line when proofs fail, with the reason, and one when they succeed again.
//!
//! While others write often, the session listens again and again only (`announcement_burst.rs`). Proofs are made between these times, not within them.
//!
//! What the channels mean is known to the listener only.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Database;
use super::announcement_burst::{AnnouncementBurst, BURST_PAUSE};
use super::error::with_causes;
use super::pooler::Pooling;

/// Time between the beginnings of two proofs.
const PROOF_INTERVAL: Duration = Duration::from_millis(500);
/// A connection that takes longer for LISTEN or a proof is replaced.
const PROOF_TIMEOUT: Duration = Duration::from_secs(1);
/// A notification of another session arrives within this time, or the address does not pass notifications on.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(2);
/// The pauses between attempts to connect.
const MIN_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_millis(500);
/// A loss that is longer than this is a warning: a restart of the server, which an administrator orders, is shorter.
const LOSS_GRACE: Duration = Duration::from_secs(5);
/// A channel that only the check of the delivery uses.
const CHECK_CHANNEL: &str = "attendance_api_check";

/// Receives the events of a connection that listens. The calls come in the order in which PostgreSQL sends, and must not wait.
pub trait ChangeListener: Send + Sync + 'static {
    /// A change was announced. Returns whether it counts for a burst, after which later changes are announced late: not if this process made it.
    fn announced(&self, channel: &str, payload: &str) -> bool;

    /// From now on changes are announced. Earlier ones may have been missed. Told again after each burst.
    fn listening(&self);

    /// Every change that was committed before this moment has been announced, or came before [`ChangeListener::listening`].
    fn proven(&self, moment: Instant);
}

/// What is listened to.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The channel.
    pub channel: &'static str,
    /// An SQL expression: whether changes are announced on it.
    pub is_announced_sql: String,
}

/// Why changes by other programs are not received.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// There is no connection.
    #[error("no connection for LISTEN to {address}: {}", with_causes(source))]
    Connect {
        /// The server.
        address: String,
        /// Why.
        source: tokio_postgres::Error,
    },
    /// A statement failed.
    #[error("{address} does not LISTEN: {}", with_causes(source))]
    Statement {
        /// The server.
        address: String,
        /// Why.
        source: tokio_postgres::Error,
    },
    /// No answer in time.
    #[error("{address} has not answered within {} ms", PROOF_TIMEOUT.as_millis())]
    Timeout {
        /// The server.
        address: String,
    },
    /// The session is not the one that executed LISTEN.
    #[error(
        "{address} does not keep the session (a pooler in transaction mode?); let postgres.listen_url name the server itself"
    )]
    SessionLost {
        /// The server.
        address: String,
    },
    /// A notification did not arrive.
    #[error(
        "a notification did not arrive from {address} (a pooler in transaction mode, or another server?); let postgres.listen_url name the server itself"
    )]
    NotDelivered {
        /// The server.
        address: String,
    },
    /// The triggers are gone or disabled.
    #[error("the triggers for {channel} are missing or disabled; restart the appliance to create them again")]
    NotAnnounced {
        /// The channel.
        channel: &'static str,
    },
}

impl ListenError {
    /// Whether the address itself is the reason, so that later attempts have the same result.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::SessionLost { .. } | Self::NotDelivered { .. } | Self::Statement { .. })
    }
}

/// A connection that listens until this is dropped.
#[derive(Debug)]
pub struct Notifications {
    task: JoinHandle<()>,
    has_proof: watch::Receiver<bool>,
}

impl Notifications {
    /// Begins to listen.
    pub fn start(database: Database, subscription: Subscription, listener: Arc<dyn ChangeListener>) -> Self {
        let (sender, has_proof) = watch::channel(false);
        let session = Session { database, subscription, listener, has_proof: sender };
        Self { task: tokio::spawn(session.keep_listening()), has_proof }
    }

    /// Waits for the first proof, but not for long.
    pub async fn wait_for_proof(&mut self) {
        // Without one the listener receives no event, and the task continues to try.
        let _ = timeout(DELIVERY_TIMEOUT, self.has_proof.wait_for(|has_proof| *has_proof)).await;
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Checks that a notification of a session of `writers` arrives at a session of `database` that does nothing.
///
/// # Errors
/// When it does not, or a connection or statement fails.
pub async fn check_delivery(database: &Database, writers: &Database) -> Result<(), ListenError> {
    let arrived = Arc::new(Notify::new());
    let client = {
        let arrived = Arc::clone(&arrived);
        connect(database, move |_, _| arrived.notify_one()).await?
    };
    if is_shared(database, &client).await {
        return Err(ListenError::SessionLost { address: database.address().to_owned() });
    }
    execute(database, &client, &format!("LISTEN {CHECK_CHANNEL}")).await?;
    let writer = connect(writers, |_, _| {}).await?;
    execute(writers, &writer, &format!("NOTIFY {CHECK_CHANNEL}")).await?;
    match timeout(DELIVERY_TIMEOUT, arrived.notified()).await {
        Ok(()) => Ok(()),
        Err(_) => Err(ListenError::NotDelivered { address: database.address().to_owned() }),
    }
}

/// Whether sessions are shared, so that a LISTEN would remain in one that is another client's next.
async fn is_shared(database: &Database, client: &Client) -> bool {
    database.recognise_pooler(client).await.is_err() || database.pooling() == Pooling::Transaction
}

async fn connect(
    database: &Database,
    observer: impl FnMut(&str, &str) + Send + 'static,
) -> Result<Client, ListenError> {
    let address = || database.address().to_owned();
    match timeout(database.attempt_timeout, database.open_observed(observer)).await {
        Ok(client) => client.map_err(|source| ListenError::Connect { address: address(), source }),
        Err(_) => Err(ListenError::Timeout { address: address() }),
    }
}

/// Runs one statement and returns the rows of its result.
async fn execute(
    database: &Database,
    client: &Client,
    statement: &str,
) -> Result<Vec<SimpleQueryMessage>, ListenError> {
    let address = || database.address().to_owned();
    match timeout(PROOF_TIMEOUT, client.simple_query(statement)).await {
        Ok(Err(source)) if is_session_end(&source) => Err(ListenError::Connect { address: address(), source }),
        Ok(answer) => answer.map_err(|source| ListenError::Statement { address: address(), source }),
        Err(_) => Err(ListenError::Timeout { address: address() }),
    }
}

/// Whether the session has ended, as by a restart of the server, which may answer a running statement before it closes the connection.
fn is_session_end(error: &tokio_postgres::Error) -> bool {
    let ends = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN];
    error.is_closed() || error.code().is_some_and(|state| ends.contains(state))
}

struct Session {
    database: Database,
    subscription: Subscription,
    listener: Arc<dyn ChangeListener>,
    has_proof: watch::Sender<bool>,
}

impl Session {
    async fn keep_listening(self) {
        let mut backoff = MIN_BACKOFF;
        let mut loss = None;
        loop {
            let mut proofs = 0_u64;
            let Err(error) = self.listen(&mut proofs, &mut loss).await;
            if proofs > 1 {
                backoff = MIN_BACKOFF;
            }
            loss.get_or_insert_with(Loss::begin).report(&error);
            sleep(backoff).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Listens on one connection until it fails.
    async fn listen(&self, proofs: &mut u64, loss: &mut Option<Loss>) -> Result<Infallible, ListenError> {
        let Subscription { channel, is_announced_sql } = &self.subscription;
        let burst = Arc::new(AnnouncementBurst::new(Instant::now()));
        let client = connect(&self.database, {
            let (listener, burst) = (Arc::clone(&self.listener), Arc::clone(&burst));
            move |channel, payload| {
                if listener.announced(channel, payload) {
                    burst.count(Instant::now());
                }
            }
        });
        let client = client.await?;
        if is_shared(&self.database, &client).await {
            return Err(self.session_lost());
        }
        execute(&self.database, &client, &format!("LISTEN {channel}")).await?;
        self.listener.listening();
        // An address that leads to another session has another process number there.
        let proof = format!(
            "SELECT pg_catalog.pg_backend_pid(), EXISTS (SELECT FROM pg_catalog.pg_listening_channels() AS heard \
             WHERE heard OPERATOR(pg_catalog.=) '{channel}'), {is_announced_sql}"
        );
        let mut process = None;
        loop {
            let began_at = Instant::now();
            let answer = execute(&self.database, &client, &proof).await?;
            let values = first_row(&answer);
            let [Some(pid), listens, is_announced] = values else { return Err(self.session_lost()) };
            if listens != Some("t") || *process.get_or_insert(pid.to_owned()) != pid {
                return Err(self.session_lost());
            }
            if is_announced != Some("t") {
                return Err(ListenError::NotAnnounced { channel });
            }
            self.listener.proven(began_at);
            *proofs += 1;
            if loss.take().is_some() {
                tracing::info!("changes by other programs are received again");
            }
            self.has_proof.send_replace(true);
            self.listen_until(&client, &burst, began_at + PROOF_INTERVAL).await?;
        }
    }

    /// Waits until a moment; in a burst, it may be a pause longer. The moment is looked at first, because a time-out does not end a wait for what is
    /// already there: in a burst that lasts, no proof would be made.
    async fn listen_until(
        &self,
        client: &Client,
        burst: &AnnouncementBurst,
        moment: Instant,
    ) -> Result<(), ListenError> {
        while Instant::now() < moment && timeout_at(moment.into(), burst.begun()).await.is_ok() {
            let channel = self.subscription.channel;
            execute(&self.database, client, &format!("UNLISTEN {channel}")).await?;
            sleep(BURST_PAUSE).await;
            execute(&self.database, client, &format!("LISTEN {channel}")).await?;
            burst.resume(Instant::now());
            // What was committed before it listened again was not received.
            self.listener.listening();
        }
        Ok(())
    }

    fn session_lost(&self) -> ListenError {
        ListenError::SessionLost { address: self.database.address().to_owned() }
    }
}

/// A time in which changes are not received.
struct Loss {
    began_at: Instant,
    is_begin_reported: bool,
    is_warned: bool,
}

impl Loss {
    fn begin() -> Self {
        Self { began_at: Instant::now(), is_begin_reported: false, is_warned: false }
    }

    /// Logs a failed attempt: the first one, and once that it lasts.
    fn report(&mut self, error: &ListenError) {
        if !self.is_warned && (error.is_permanent() || self.began_at.elapsed() >= LOSS_GRACE) {
            self.is_warned = true;
            tracing::warn!(reason = %error, "changes by other programs are still not received; reads go to PostgreSQL");
        } else if !self.is_begin_reported {
            self.is_begin_reported = true;
            tracing::info!(reason = %error, "changes by other programs are not received; reads go to PostgreSQL until they are");
        } else {
            tracing::debug!(reason = %error, "changes by other programs are not received");
        }
    }
}

/// The first three values of the first row.
fn first_row(messages: &[SimpleQueryMessage]) -> [Option<&str>; 3] {
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) if row.len() >= 3 => Some(row),
        _ => None,
    });
    row.map(|row| [row.get(0), row.get(1), row.get(2)]).unwrap_or_default()
}
