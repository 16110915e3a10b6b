//! The last use of sessions and tokens.
//!
//! Policy: no request waits for it. A use is queued at most once a minute for each credential (`verified.rs`), and a task writes what is queued in
//! one statement. If the queue is full or PostgreSQL fails, the next minute's use is written instead.

use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::credential::{Credential, CredentialKind};
use super::store::{Store, texts};

/// Uses that may wait.
const MAX_QUEUED: usize = 4096;
/// Uses that are written at once.
const MAX_WRITTEN: usize = 512;
/// Uses are gathered for this time.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// Rows that another instance is writing, or wrote less than a minute ago, are left out.
const TOUCH_SESSIONS: &str = "UPDATE attendance_api.sessions SET last_seen = clock_timestamp() WHERE id IN (SELECT id FROM attendance_api.sessions \
    WHERE key = ANY($1) AND last_seen < clock_timestamp() - interval '55 seconds' FOR UPDATE SKIP LOCKED)";
const TOUCH_TOKENS: &str = "UPDATE attendance_api.tokens SET last_used = clock_timestamp() WHERE id IN (SELECT id FROM attendance_api.tokens \
    WHERE key = ANY($1) AND (last_used IS NULL OR last_used < clock_timestamp() - interval '55 seconds') FOR UPDATE SKIP LOCKED)";

/// A use of a credential.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touch(Credential);

impl Touch {
    pub(super) fn of(credential: &Credential) -> Self {
        Self(*credential)
    }
}

/// Where uses are queued.
#[derive(Debug, Clone)]
pub(super) struct TouchQueue(Sender<Touch>);

impl TouchQueue {
    /// A queue, and what takes from it.
    pub(super) fn new() -> (Self, Receiver<Touch>) {
        let (sender, receiver) = channel(MAX_QUEUED);
        (Self(sender), receiver)
    }

    /// Queues a use, unless the queue is full or not read.
    pub(super) fn push(&self, touch: Touch) {
        let _ = self.0.try_send(touch);
    }
}

/// Writes uses until the queue ends.
pub(super) fn start(store: Store, queue: Receiver<Touch>) -> JoinHandle<()> {
    tokio::spawn(write(store, queue))
}

async fn write(store: Store, mut queue: Receiver<Touch>) {
    let mut touches = Vec::with_capacity(MAX_WRITTEN);
    while queue.recv_many(&mut touches, MAX_WRITTEN).await > 0 {
        if touches.len() < MAX_WRITTEN {
            tokio::time::sleep(WRITE_INTERVAL).await;
            while touches.len() < MAX_WRITTEN
                && let Ok(touch) = queue.try_recv()
            {
                touches.push(touch);
            }
        }
        for (kind, sql) in [(CredentialKind::Session, TOUCH_SESSIONS), (CredentialKind::Token, TOUCH_TOKENS)] {
            let keys: Vec<&str> =
                touches.iter().filter(|Touch(used)| used.kind() == kind).map(|Touch(used)| used.key()).collect();
            if !keys.is_empty()
                && let Err(error) = store.change(sql, &[texts(&keys)]).await
            {
                tracing::debug!(%error, "the last use of sessions or tokens was not written");
            }
        }
        touches.clear();
    }
}
