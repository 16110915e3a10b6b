//! What the cache does beside answering reads.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{Generations, Shared};

/// The keeper looks after a missing connection, and after changes that are not settled, this often.
const KEEPING: Duration = Duration::from_millis(250);
/// It tells Redis this many changes in one round trip.
const TOLD_AT_ONCE: usize = 500;

/// Starts it; the tasks never end by themselves.
pub(super) fn start(shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
    let mut tasks = vec![tokio::spawn(keep(Arc::clone(shared))), tokio::spawn(write(Arc::clone(shared)))];
    if matches!(shared.generations, Generations::Shared(_)) {
        tasks.push(tokio::spawn(validate(Arc::clone(shared))));
    }
    tasks
}

/// Stores what reads have left to be stored.
async fn write(shared: Arc<Shared>) {
    loop {
        let jobs = shared.backlog.next().await;
        shared.write(jobs).await;
    }
}

/// Asks for the generations that reads wait for.
async fn validate(shared: Arc<Shared>) {
    let Generations::Shared(validator) = &shared.generations else { return };
    loop {
        let round = validator.round().await;
        shared.validate(round).await;
    }
}

/// Makes connections, and settles changes.
async fn keep(shared: Arc<Shared>) {
    let mut number = 0;
    let mut connected = false;
    loop {
        settle(&shared, connected).await;
        if !connected {
            number += 1;
            match shared.link.connect(number, &shared.greeting(), shared.options.timeout).await {
                Ok(()) => {
                    tracing::info!("the cache is connected");
                    connected = true;
                    continue;
                }
                Err(reason) => tracing::debug!(reason, "the cache is not reachable"),
            }
        }
        tokio::select! {
            () = shared.link.broken() => {
                tracing::warn!("the cache connection was lost; reads go to PostgreSQL until it is back");
                connected = false;
            }
            () = tokio::time::sleep(KEEPING) => {}
        }
    }
}

/// Tells a shared Redis what it could not be told; ends the generations of what may still be committed.
async fn settle(shared: &Shared, connected: bool) {
    match &shared.generations {
        Generations::Private(counters) => {
            let pending = shared.untold.pending();
            if shared.untold.concerns_everybody() {
                counters.all_changed();
            }
            pending.iter().for_each(|(id, _)| counters.changed(id));
        }
        Generations::Shared(_) if connected => {
            for changes in shared.untold.pending().chunks(TOLD_AT_ONCE) {
                if !shared.tell(changes).await {
                    break;
                }
            }
        }
        Generations::Shared(_) => {}
    }
}
