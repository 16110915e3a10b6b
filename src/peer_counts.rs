//! How much of a limited resource each client has.
//!
//! Policy: a client is what one person or attacker has at least: an IPv4 address, or an IPv6 network of 64 bits, in which every host can choose
//! its address. What may be added is the caller's rule over the two sums; [`PeerCounts`] keeps the sums and takes each part back when it is dropped.
//! The table has entries only for clients that have something, so its size is bounded by the resource.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A client, as limits count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl Peer {
    /// The client at an address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            address => address,
        })
    }
}

/// The address, or the network.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// How much is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// By the client that asks.
    pub of_peer: u64,
    /// By all clients.
    pub total: u64,
}

impl Usage {
    /// Whether a client may have `amount` more of a resource of which there is `capacity`: as much as is left after it. One client alone gets at
    /// most half of it, two get a third each, and so on, so that there is always some left for the next one.
    pub fn is_fair(self, amount: u64, capacity: u64) -> bool {
        let free = capacity.saturating_sub(self.total);
        self.of_peer.saturating_add(amount) <= free
    }

    /// Whether there is `amount` left of `capacity`, without regard to the shares of the peers.
    pub fn fits(self, amount: u64, capacity: u64) -> bool {
        self.total.saturating_add(amount) <= capacity
    }
}

/// What each client has of one resource.
#[derive(Debug, Default)]
pub struct PeerCounts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    total: u64,
    by_peer: HashMap<Peer, u64>,
}

/// A part of the resource that a client has until this is dropped.
#[derive(Debug)]
pub struct PeerCount {
    counts: Arc<PeerCounts>,
    peer: Peer,
    amount: u64,
}

impl PeerCounts {
    /// Gives a client `amount` more if the rule allows it.
    pub fn try_add(
        self: &Arc<Self>,
        peer: Peer,
        amount: u64,
        is_allowed: impl FnOnce(Usage) -> bool,
    ) -> Option<PeerCount> {
        let mut counts = self.counts();
        let usage = Usage { of_peer: counts.by_peer.get(&peer).copied().unwrap_or(0), total: counts.total };
        if !is_allowed(usage) {
            return None;
        }
        counts.total += amount;
        *counts.by_peer.entry(peer).or_default() += amount;
        drop(counts);
        Some(PeerCount { counts: Arc::clone(self), peer, amount })
    }

    /// How much all clients have.
    pub fn total(&self) -> u64 {
        self.counts().total
    }

    fn subtract(&self, peer: Peer, amount: u64) {
        let mut counts = self.counts();
        counts.total -= amount;
        if let Entry::Occupied(mut entry) = counts.by_peer.entry(peer) {
            *entry.get_mut() -= amount;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Each change is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PeerCount {
    /// How much it is.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Adds the amount of another part of the same client and resource.
    pub fn absorb(&mut self, mut other: Self) {
        self.amount += std::mem::take(&mut other.amount);
    }

    /// Gives back all but `amount`.
    pub fn shrink_to(&mut self, amount: u64) {
        if let Some(excess) = self.amount.checked_sub(amount) {
            self.counts.subtract(self.peer, excess);
            self.amount = amount;
        }
    }
}

impl Drop for PeerCount {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.counts.subtract(self.peer, self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::of(address.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_ipv6() {
        assert_eq!(peer("2001:db8:0:1::1"), peer("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(peer("2001:db8:0:1::1"), peer("2001:db8:0:2::1"));
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
        assert_ne!(peer("10.0.0.1"), peer("10.0.0.2"));
    }

    #[test]
    fn one_client_alone_gets_half_and_leaves_something_for_the_next() {
        let counts = Arc::new(PeerCounts::default());
        let take = |address: &str| counts.try_add(peer(address), 1, |usage| usage.is_fair(1, 128));
        let first: Vec<_> = std::iter::from_fn(|| take("10.0.0.1")).collect();
        assert_eq!(first.len(), 64);
        let second: Vec<_> = std::iter::from_fn(|| take("10.0.0.2")).collect();
        assert_eq!(second.len(), 32);
        let others: Vec<_> = (3..60).filter_map(|host| take(&format!("10.0.0.{host}"))).collect();
        assert_eq!((others.len(), counts.total()), (32, 128), "each of 32 others still gets one");
        drop(first);
        let again: Vec<_> = std::iter::from_fn(|| take("10.0.0.1")).collect();
        assert_eq!(again.len(), 32);
    }

    #[test]
    fn what_is_dropped_or_given_back_is_free_again_and_leaves_no_entry() {
        let counts = Arc::new(PeerCounts::default());
        let take = |amount| counts.try_add(peer("10.0.0.1"), amount, |usage| usage.fits(amount, 100));
        let mut first = take(60).unwrap();
        assert!(take(41).is_none());
        first.absorb(take(40).unwrap());
        assert_eq!((first.amount(), counts.total()), (100, 100));
        first.shrink_to(10);
        assert_eq!((first.amount(), counts.total()), (10, 10));
        first.shrink_to(20);
        assert_eq!(first.amount(), 10);
        drop(first);
        assert_eq!(counts.total(), 0);
        assert!(counts.counts().by_peer.is_empty());
    }
}
