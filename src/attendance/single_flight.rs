//! Reads of the same answer that happen at the same time.
//!
//! Policy: the first one asks PostgreSQL, the others take its answer. That is allowed only to a read that found, after it
//! began, the same generation the first one had found before it asked PostgreSQL: every create that was acknowledged
//! before the later read began had ended its generations by then, so it was committed before that generation became
//! current, and the first one's statement sees it. A flight whose leader is gone helps nobody: the others ask themselves.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::answer::Answer;
use super::cache::Generation;
use super::service::Error;

/// What a flight brings: an answer, or that there is none.
pub(super) type Outcome = Result<Option<Answer>, Error>;

type Name = (String, Generation);

/// The reads under way.
#[derive(Debug, Default)]
pub(super) struct SingleFlight(Mutex<HashMap<Name, Vec<oneshot::Sender<Outcome>>>>);

/// A read's place on a flight.
#[derive(Debug)]
pub(super) enum Participant<'a> {
    /// It asks PostgreSQL, for all.
    Leader(Leader<'a>),
    /// It waits; an error means that the leader is gone.
    Follower(oneshot::Receiver<Outcome>),
}

/// The duty to tell the others. Dropped without that, it sends them to PostgreSQL.
#[derive(Debug)]
pub(super) struct Leader<'a> {
    single_flight: &'a SingleFlight,
    name: Name,
}

impl SingleFlight {
    /// Joins the flight to an answer, or begins it. The generation was found by this read, after it began.
    pub(super) fn join(&self, key: &str, generation: &Generation) -> Participant<'_> {
        let name = (key.to_owned(), generation.clone());
        let mut single_flight = self.single_flight();
        if let Some(passengers) = single_flight.get_mut(&name) {
            let (sender, receiver) = oneshot::channel();
            passengers.push(sender);
            return Participant::Follower(receiver);
        }
        single_flight.insert(name.clone(), Vec::new());
        Participant::Leader(Leader { single_flight: self, name })
    }

    fn single_flight(&self) -> MutexGuard<'_, HashMap<Name, Vec<oneshot::Sender<Outcome>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader<'_> {
    /// Tells the others.
    pub(super) fn complete(self, outcome: &Outcome) {
        for passenger in self.end() {
            // Who has gone needs no answer.
            let _ = passenger.send(outcome.clone());
        }
    }

    fn end(&self) -> Vec<oneshot::Sender<Outcome>> {
        self.single_flight.single_flight().remove(&self.name).unwrap_or_default()
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendance::answer::CacheStatus;

    fn leader<'a>(single_flight: &'a SingleFlight, key: &str, generation: u64) -> Leader<'a> {
        match single_flight.join(key, &Generation::Private(generation)) {
            Participant::Leader(leader) => leader,
            Participant::Follower(_) => panic!("there is a flight already"),
        }
    }

    fn passenger(single_flight: &SingleFlight, key: &str, generation: u64) -> oneshot::Receiver<Outcome> {
        match single_flight.join(key, &Generation::Private(generation)) {
            Participant::Leader(_) => panic!("there is no flight"),
            Participant::Follower(passenger) => passenger,
        }
    }

    #[tokio::test]
    async fn one_answer_serves_all_who_ask_for_it_under_the_same_generation() {
        let single_flight = SingleFlight::default();
        let first = leader(&single_flight, "a", 1);
        let others = [passenger(&single_flight, "a", 1), passenger(&single_flight, "a", 1)];
        let (other_key, other_generation) = (leader(&single_flight, "b", 1), leader(&single_flight, "a", 2));
        first.complete(&Ok(Some(Answer::fresh(b"[]\n"[..].into(), None, CacheStatus::Miss))));
        for other in others {
            assert_eq!(&*other.await.unwrap().unwrap().unwrap().content.body, b"[]\n");
        }
        drop((other_key, other_generation));
        assert!(single_flight.single_flight().is_empty());
    }

    #[tokio::test]
    async fn who_loses_the_leader_asks_alone() {
        let single_flight = SingleFlight::default();
        let first = leader(&single_flight, "a", 1);
        let other = passenger(&single_flight, "a", 1);
        drop(first);
        assert!(other.await.is_err());
        leader(&single_flight, "a", 1);
    }
}
