//! The tasks of a cache: they keep the connection, store queued values, and complete invalidations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::connection::Connection;
use super::engine::{Engine, Protocol};
use super::value::CacheValue;

/// A missing connection is made, and pending invalidations are published, in this interval.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(250);

/// Starts the tasks, which never end by themselves.
pub(super) fn start<V: CacheValue>(engine: &Arc<Engine<V, Connection>>) -> Vec<JoinHandle<()>> {
    let mut tasks = vec![tokio::spawn(maintain(Arc::clone(engine))), tokio::spawn(write(Arc::clone(engine)))];
    if matches!(engine.protocol, Protocol::Shared(_)) {
        tasks.push(tokio::spawn(fetch_generations(Arc::clone(engine))));
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

/// Makes connections and completes invalidations.
async fn maintain<V: CacheValue>(engine: Arc<Engine<V, Connection>>) {
    let connection = &engine.commands.redis;
    let mut number = 0;
    let mut is_connected = false;
    loop {
        engine.maintain(is_connected, Instant::now()).await;
        if !is_connected {
            number += 1;
            match connection.connect(number, &engine.rotate_epoch(), engine.commands.timeout).await {
                Ok(()) => {
                    tracing::info!("the cache is connected");
                    is_connected = true;
                    continue;
                }
                Err(error) => tracing::debug!(reason = %error, "the cache is not reachable"),
            }
        }
        tokio::select! {
            () = connection.lost() => {
                tracing::warn!("the cache connection was lost; reads go to PostgreSQL until it is back");
                is_connected = false;
            }
            () = tokio::time::sleep(MAINTENANCE_INTERVAL) => {}
        }
    }
}
