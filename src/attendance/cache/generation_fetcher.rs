//! Asks a shared Redis which generations are current, once for many reads.
//!
//! Policy: a read may trust an answer that was *asked for* after the read began, and no other: a notification can be
//! late. So a read that comes while a round trip is under way waits for the next one, which asks for everything that is
//! wanted by then. With many clients one round trip serves many reads, and no body is moved.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::generation::Generation;

/// Generations asked for in one round trip.
const AT_ONCE: usize = 512;

/// The reads that wait.
#[derive(Debug, Default)]
pub(super) struct Validator {
    waiting: Mutex<Vec<Waiter>>,
    came: Notify,
}

#[derive(Debug)]
struct Waiter {
    key: String,
    told: oneshot::Sender<Option<Generation>>,
}

/// Reads whose round trip is under way.
#[derive(Debug)]
pub(super) struct Round(Vec<Waiter>);

impl Validator {
    /// The generation stored under a key now; `None` if there is none or Redis does not say so in time.
    pub(super) async fn current(&self, key: String, bound: Duration) -> Option<Generation> {
        let (told, answer) = oneshot::channel();
        self.waiting().push(Waiter { key, told });
        self.came.notify_one();
        timeout(bound, answer).await.ok()?.ok()?
    }

    /// The reads of the next round trip, once there are any.
    pub(super) async fn round(&self) -> Round {
        loop {
            {
                let mut waiting = self.waiting();
                // Who has waited too long has gone.
                waiting.retain(|waiter| !waiter.told.is_closed());
                let count = waiting.len().min(AT_ONCE);
                let mut round: Vec<Waiter> = waiting.drain(..count).collect();
                if !round.is_empty() {
                    round.sort_unstable_by(|one, other| one.key.cmp(&other.key));
                    return Round(round);
                }
            }
            self.came.notified().await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Round {
    /// The keys to ask for, each once.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.chunk_by(|one, other| one.key == other.key).map(|same| same[0].key.as_str())
    }

    /// Tells every read; the answers are in the order of the keys.
    pub(super) fn tell(self, answers: impl IntoIterator<Item = Option<Generation>>) {
        let mut answers = answers.into_iter();
        let mut last: Option<(String, Option<Generation>)> = None;
        for Waiter { key, told } in self.0 {
            let answer = match &last {
                Some((same, answer)) if *same == key => answer.clone(),
                _ => answers.next().flatten(),
            };
            // A read that has gone needs no answer.
            let _ = told.send(answer.clone());
            last = Some((key, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const BOUND: Duration = Duration::from_secs(10);

    fn generation(key: &str) -> Option<Generation> {
        Some(Generation::Shared(key.into()))
    }

    #[tokio::test]
    async fn who_comes_during_a_round_trip_is_answered_by_the_next_one() {
        let validator = Arc::new(Validator::default());
        let ask = |key: &str| {
            let (validator, key) = (Arc::clone(&validator), key.to_owned());
            tokio::spawn(async move { validator.current(key, BOUND).await })
        };
        let early = ["b", "a", "b"].map(ask);
        while validator.waiting().len() < 3 {
            tokio::task::yield_now().await;
        }
        let first = validator.round().await;
        assert_eq!(first.keys().collect::<Vec<_>>(), ["a", "b"]);
        let late = ask("a");
        while validator.waiting().is_empty() {
            tokio::task::yield_now().await;
        }
        first.tell([generation("1"), generation("2")]);
        for (task, expected) in early.into_iter().zip(["2", "1", "2"]) {
            assert_eq!(task.await.unwrap(), generation(expected));
        }
        assert!(!late.is_finished());
        validator.round().await.tell([generation("3")]);
        assert_eq!(late.await.unwrap(), generation("3"));
    }

    #[tokio::test]
    async fn without_an_answer_there_is_no_generation() {
        let validator = Validator::default();
        let (read, ()) = tokio::join!(validator.current("a".into(), BOUND), async {
            validator.round().await.tell([]);
        });
        assert_eq!(read, None);
        assert_eq!(validator.current("a".into(), Duration::from_millis(1)).await, None);
    }
}
