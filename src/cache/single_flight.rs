//! Reads of one value at the same time.
//!
//! Policy: the first read loads the value (the leader), the others take its result (followers). A read may follow only if it found, after it
//! began, the generation that the leader had found before it loaded: every change that was acknowledged before the follower
//! began had been committed before that generation became current, so that the leader's load includes it. Followers whose leader ends
//! without a result load the value themselves.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use tokio::sync::oneshot;

use super::generation::{FillToken, Generation};

type LoadKey = (String, Generation);
type Loads<T> = HashMap<LoadKey, Vec<oneshot::Sender<T>>, RandomState>;

/// The loads in progress. `T` is what a load results in.
#[derive(Debug)]
pub struct SingleFlight<T>(Mutex<Loads<T>>);

/// A read's part in a load.
#[derive(Debug)]
pub enum Participant<'a, T> {
    /// It loads the value, for all.
    Leader(Leader<'a, T>),
    /// It waits for the leader; an error means that the leader has ended without a result.
    Follower(oneshot::Receiver<T>),
}

/// The duty to pass the result on to the followers. Dropped without a result, it sends them to load the value themselves.
#[derive(Debug)]
pub struct Leader<'a, T> {
    loads: &'a SingleFlight<T>,
    key: LoadKey,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> SingleFlight<T> {
    /// Joins the load of a value, or begins one. The token was issued to this read.
    pub fn join(&self, token: &FillToken) -> Participant<'_, T> {
        let key = (token.key.clone(), token.generation.clone());
        let mut loads = self.loads();
        if let Some(followers) = loads.get_mut(&key) {
            let (sender, receiver) = oneshot::channel();
            followers.push(sender);
            return Participant::Follower(receiver);
        }
        loads.insert(key.clone(), Vec::new());
        Participant::Leader(Leader { loads: self, key })
    }
}

impl<T> SingleFlight<T> {
    fn loads(&self) -> MutexGuard<'_, Loads<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Leader<'_, T> {
    /// Passes the result on to all followers. Reads that come later begin a load of their own.
    pub fn complete(self, result: &T) {
        for follower in self.end() {
            // The follower may have gone.
            let _ = follower.send(result.clone());
        }
    }
}

impl<T> Leader<'_, T> {
    fn end(&self) -> Vec<oneshot::Sender<T>> {
        self.loads.loads().remove(&self.key).unwrap_or_default()
    }
}

impl<T> Drop for Leader<'_, T> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn token(key: &str, count: u64) -> FillToken {
        FillToken { key: key.to_owned(), generation: Generation::Private { seed: 1, count }, issued_at: Instant::now() }
    }

    fn leader<'a>(loads: &'a SingleFlight<u32>, key: &str, count: u64) -> Leader<'a, u32> {
        match loads.join(&token(key, count)) {
            Participant::Leader(leader) => leader,
            Participant::Follower(_) => panic!("there is a load in progress"),
        }
    }

    fn follower(loads: &SingleFlight<u32>, key: &str, count: u64) -> oneshot::Receiver<u32> {
        match loads.join(&token(key, count)) {
            Participant::Leader(_) => panic!("there is no load in progress"),
            Participant::Follower(follower) => follower,
        }
    }

    #[tokio::test]
    async fn one_load_serves_all_reads_of_a_key_under_one_generation() {
        let loads = SingleFlight::default();
        let first = leader(&loads, "a", 1);
        let followers = [follower(&loads, "a", 1), follower(&loads, "a", 1)];
        let (other_key, other_generation) = (leader(&loads, "b", 1), leader(&loads, "a", 2));
        first.complete(&5);
        for follower in followers {
            assert_eq!(follower.await, Ok(5));
        }
        drop((other_key, other_generation));
        assert!(loads.loads().is_empty());
    }

    #[tokio::test]
    async fn losing_the_leader_sends_followers_to_load_for_themselves() {
        let loads = SingleFlight::default();
        let first = leader(&loads, "a", 1);
        let other = follower(&loads, "a", 1);
        drop(first);
        assert!(other.await.is_err());
        leader(&loads, "a", 1);
    }
}
