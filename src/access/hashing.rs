//! The threads that hash passwords.
//!
//! Policy: a hash takes a processor for tens of milliseconds and 19 MiB, by design. So at most [`Hasher::threads`] hashes are computed at the same time, on a
//! quarter of the processors and at a lower priority: a flood of logins cannot take the processors from reads. A request waits for its turn in a bounded queue,
//! in which a client has at most its fair share; beyond that, the request is refused at once. A hash that has begun is finished even if its client has gone.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use super::password;
use super::system_error::SystemError;
use crate::peer_counts::{Peer, PeerCount, PeerCounts};
use crate::priority;

/// The `nice` value of a thread that hashes: beside threads that are always busy, it gets about a third of what one of them gets.
const NICENESS: i32 = 5;
/// Requests that may wait for a thread or use one.
const MAX_WAITING: u64 = 64;

/// Hashes passwords.
#[derive(Debug)]
pub(super) struct Hasher {
    threads: Arc<Semaphore>,
    waiting: Arc<PeerCounts>,
}

/// The right to hash, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _place: Option<PeerCount>,
    _permit: OwnedSemaphorePermit,
}

impl Hasher {
    pub(super) fn new() -> Self {
        let threads = (available_parallelism().map_or(1, NonZero::get) / 4).max(1);
        Self { threads: Arc::new(Semaphore::new(threads)), waiting: Arc::default() }
    }

    /// Waits for a thread. A command on the machine has no peer and no limit.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many wait, or there is none by the deadline.
    pub(super) async fn turn(&self, peer: Option<Peer>, deadline: Instant) -> Result<Turn, Error> {
        let place = match peer {
            Some(peer) => {
                let is_allowed = |usage: crate::peer_counts::Usage| usage.is_fair(1, MAX_WAITING);
                Some(self.waiting.try_add(peer, 1, is_allowed).ok_or(Error::Busy)?)
            }
            None => None,
        };
        match timeout_at(deadline, Arc::clone(&self.threads).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn { _place: place, _permit: permit }),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }
}

impl Turn {
    /// The hash of a password that is to be set, if it is not among those that are guessed first.
    pub(super) async fn hash_new(self, password: String, username: String) -> Result<String, Error> {
        let hashing = self.run(move || -> Result<String, Error> {
            password::check_strength(&password, &username)?;
            Ok(password::hash(&password)?)
        });
        let (hash, _turn) = hashing.await?;
        hash
    }

    /// Whether a password is the one of a hash; takes as long for every password. The caller keeps the turn until it has counted a failure, because the next
    /// attempt reads the counts when it has its turn.
    pub(super) async fn verify(self, password: String, hash: String) -> Result<(bool, Self), Error> {
        let (is_right, turn) = self.run(move || password::is_of(&password, &hash)).await?;
        Ok((is_right?, turn))
    }

    /// The turn comes back with the outcome. If its client has gone, both are dropped when the work is done.
    async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<(T, Self), Error> {
        let (sender, outcome) = oneshot::channel();
        // A thread of its own, because a priority cannot be raised again. It costs little beside a hash.
        let hashing = move || {
            // The client may have gone.
            let _ = sender.send((work(), self));
        };
        priority::spawn("hash", NICENESS, hashing).map_err(SystemError::thread)?;
        outcome.await.map_err(|_| Error::System(SystemError::Abandoned))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn peer(last: u8) -> Option<Peer> {
        Some(Peer::of(std::net::IpAddr::from([10, 0, 0, last])))
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_shared_fairly() {
        let hasher = Arc::new(Hasher { threads: Arc::new(Semaphore::new(1)), waiting: Arc::default() });
        let deadline = Instant::now() + Duration::from_secs(60);
        let turn = hasher.turn(None, deadline).await.unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let hasher = Arc::clone(&hasher);
            waiting.spawn(async move { hasher.turn(peer(1), deadline).await.map(drop) });
        }
        let mut refused = 0;
        while refused < 200 - MAX_WAITING / 2 {
            assert!(matches!(waiting.join_next().await.unwrap().unwrap(), Err(Error::Busy)));
            refused += 1;
        }
        let other = tokio::spawn({
            let hasher = Arc::clone(&hasher);
            async move { hasher.turn(peer(2), deadline).await.map(drop) }
        });
        drop(turn);
        other.await.unwrap().expect("another client has a place");
        while let Some(waited) = waiting.join_next().await {
            waited.unwrap().expect("what waited had its turn");
        }
    }

    #[tokio::test]
    async fn a_hash_is_computed_at_a_lower_priority_than_that_of_requests() {
        let niceness = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let own = niceness();
        let turn = Hasher::new().turn(None, Instant::now() + Duration::from_secs(60)).await.unwrap();
        let (of_hash, _turn) = turn.run(niceness).await.unwrap();
        assert_eq!((of_hash, niceness()), (NICENESS.max(own), own));
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let hasher = Hasher::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        let turn = || hasher.turn(peer(1), deadline);
        let hash = turn().await.unwrap().hash_new("a good password".to_owned(), "ada".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let (is_right, turn) = turn().await.unwrap().verify("a good password".to_owned(), hash.clone()).await.unwrap();
        assert!(is_right);
        // The turn is not over before its holder says so.
        let (is_right, _turn) = turn.verify("a good passwore".to_owned(), hash).await.unwrap();
        assert!(!is_right && hasher.waiting.total() == 1);
    }
}
