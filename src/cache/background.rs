//! The tasks of a cache: they keep the connection, store queued values, and complete invalidations.
//!
//! Policy: a lost connection is made again for ever, with growing pauses, and sooner while changes wait to be confirmed. The log has one line
//! when the cache cannot be used any more, with the reason, and one when it can be used again. Without Redis, only invalidations are completed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::connection::Connection;
use super::engine::{Engine, Protocol};
use super::error::ConnectionError;
use super::value::CacheValue;

/// The interval in which pending invalidations are published and a shared Redis is asked to prove that it accepts writes.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(250);
/// The pauses between attempts to connect.
const MIN_BACKOFF: Duration = Duration::from_millis(50);
/// With the time-outs of an attempt, Redis is used within two seconds after it can be.
const MAX_BACKOFF: Duration = Duration::from_millis(500);
/// The pause before an attempt that a change waits for.
const WANTED_BACKOFF: Duration = Duration::from_millis(10);
/// A connection that lasted for this time ends the growth of the pauses.
const RESET_BACKOFF_AFTER: Duration = Duration::from_secs(2);
/// A Redis that starts together with this process is not reported as unusable before this time.
const START_GRACE: Duration = Duration::from_secs(1);

/// Starts the tasks, which never end by themselves.
pub(super) fn start<V: CacheValue>(engine: &Arc<Engine<V, Connection>>) -> Vec<JoinHandle<()>> {
    if !engine.commands.redis.has_server() {
        return vec![tokio::spawn(maintain_in_memory(Arc::clone(engine)))];
    }
    let mut tasks = vec![tokio::spawn(maintain(Arc::clone(engine))), tokio::spawn(write(Arc::clone(engine)))];
    if matches!(engine.protocol, Protocol::Shared(_)) {
        tasks.push(tokio::spawn(fetch_generations(Arc::clone(engine))));
        tasks.push(tokio::spawn(rotate_epochs(Arc::clone(engine))));
    }
    tasks
}

/// Stores what reads have queued.
async fn write<V: CacheValue>(engine: Arc<Engine<V, Connection>>) {
    loop {
        engine.write_next(Instant::now).await;
    }
}

/// Asks for the generations that reads wait for.
async fn fetch_generations<V: CacheValue>(engine: Arc<Engine<V, Connection>>) {
    let Protocol::Shared(shared) = &engine.protocol else { return };
    loop {
        let round = shared.next_round().await;
        shared.complete_round(round).await;
    }
}

/// Ends every generation for changes by other programs.
async fn rotate_epochs<V: CacheValue>(engine: Arc<Engine<V, Connection>>) {
    let Protocol::Shared(shared) = &engine.protocol else { return };
    loop {
        shared.rotate_epochs().await;
    }
}

/// Completes invalidations without Redis.
async fn maintain_in_memory<V: CacheValue>(engine: Arc<Engine<V, Connection>>) {
    loop {
        engine.maintain(false, Instant::now).await;
        tokio::time::sleep(MAINTENANCE_INTERVAL).await;
    }
}

/// Makes connections and completes invalidations.
async fn maintain<V: CacheValue>(engine: Arc<Engine<V, Connection>>) {
    let connection = &engine.commands.redis;
    let mut report = Report::new(engine.name);
    let mut backoff = MIN_BACKOFF;
    for number in 0.. {
        let began_at = Instant::now();
        match connection.connect(number, &engine.rotate_epoch(), engine.commands.timeout).await {
            Ok(()) => {
                engine.connected(began_at);
                report.up();
                let connected_at = Instant::now();
                let error = use_connection(&engine).await;
                engine.disconnected(error.is_role_change(), connected_at, Instant::now());
                report.down(&error);
                if connected_at.elapsed() > RESET_BACKOFF_AFTER {
                    backoff = MIN_BACKOFF;
                }
            }
            Err(error) => {
                engine.disconnected(error.is_role_change(), began_at, Instant::now());
                report.down(&error);
            }
        }
        engine.maintain(false, Instant::now).await;
        tokio::select! {
            () = tokio::time::sleep(backoff) => backoff = (backoff * 2).min(MAX_BACKOFF),
            () = connection.wanted() => tokio::time::sleep(WANTED_BACKOFF).await,
        }
    }
}

/// Completes invalidations until the connection is lost; returns why it was.
async fn use_connection<V: CacheValue>(engine: &Engine<V, Connection>) -> ConnectionError {
    let connection = &engine.commands.redis;
    loop {
        if let Some(error) = connection.error() {
            return error;
        }
        engine.maintain(true, Instant::now).await;
        tokio::select! {
            () = connection.lost() => {}
            () = tokio::time::sleep(MAINTENANCE_INTERVAL) => {}
        }
    }
}

/// Whether the cache can be used, as the log has it.
struct Report {
    name: &'static str,
    is_up: Option<bool>,
    started_at: Instant,
}

impl Report {
    fn new(name: &'static str) -> Self {
        Self { name, is_up: None, started_at: Instant::now() }
    }

    fn up(&mut self) {
        if self.is_up != Some(true) {
            tracing::info!(cache = self.name, "the cache is connected");
        }
        self.is_up = Some(true);
    }

    fn down(&mut self, error: &ConnectionError) {
        let is_starting = self.is_up.is_none() && self.started_at.elapsed() < START_GRACE;
        if self.is_up == Some(false) || is_starting {
            tracing::debug!(cache = self.name, reason = %error, "the cache is not reachable");
        } else {
            tracing::warn!(cache = self.name, reason = %error, "the cache cannot be used; reads go to PostgreSQL until it can");
            self.is_up = Some(false);
        }
    }
}
