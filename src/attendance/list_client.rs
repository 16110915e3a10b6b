//! The client that asks for a list, and the time of its request.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::peer_counts::{Peer, Usage};

/// The longest wait for a slot. The rest of the time until the first byte is for the database.
const MAX_SLOT_WAIT: Duration = Duration::from_secs(1);

/// The client of a list.
#[derive(Debug, Clone, Copy)]
pub struct ListClient {
    /// The client as limits count it.
    pub peer: Peer,
    /// Whether it passes on the requests of many clients, so that it may have more than its share.
    pub is_exempt: bool,
    /// When its request arrived.
    pub started: Instant,
}

/// Until when a list may wait for what it needs before its first byte. All of them count from the arrival of the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// For a slot.
    pub(super) slot: tokio::time::Instant,
    /// For a connection. A list whose records arrive more slowly is streamed from then on.
    pub(super) connection: tokio::time::Instant,
    /// For a sign of life of the database.
    pub(super) database: tokio::time::Instant,
}

impl ListClient {
    /// A client that asked at this time.
    pub fn new(address: IpAddr, started: Instant) -> Self {
        Self { peer: Peer::of(address), is_exempt: false, started }
    }

    /// Whether it may have `amount` more of a resource that lists share.
    pub(super) fn may_add(&self, usage: Usage, amount: u64, capacity: u64) -> bool {
        if self.is_exempt { usage.fits(amount, capacity) } else { usage.is_fair(amount, capacity) }
    }

    /// The deadlines of its request, of which the last is after `request_timeout`.
    pub(super) fn deadlines(&self, request_timeout: Duration) -> Deadlines {
        let started = tokio::time::Instant::from_std(self.started);
        Deadlines {
            slot: started + MAX_SLOT_WAIT.min(request_timeout / 2),
            connection: started + request_timeout / 4 * 3,
            database: started + request_timeout,
        }
    }
}
