//! Asks a shared Redis which generations are current, once for many reads.
//!
//! Policy: a read may trust only a generation that was *asked for* after the read began; a notification could be late.
//! So a read that comes while a round trip is in progress waits for the next one, which asks for everything that is
//! waited for by then. With many clients one round trip serves many reads, and no value is transferred.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::generation::Generation;

/// Reads served by one round trip.
const MAX_ROUND: usize = 512;

/// The reads that wait for a generation.
#[derive(Debug, Default)]
pub(super) struct GenerationFetcher {
    waiting: Mutex<Vec<Waiter>>,
    arrived: Notify,
}

#[derive(Debug)]
struct Waiter {
    keys: Vec<String>,
    reply: oneshot::Sender<Option<Generation>>,
}

/// The reads whose round trip is in progress.
#[derive(Debug)]
pub(super) struct FetchRound(Vec<Waiter>);

impl GenerationFetcher {
    /// The generation whose scopes have these keys; `None` if a part of it is missing or Redis does not answer in time.
    pub(super) async fn current(&self, keys: Vec<String>, limit: Duration) -> Option<Generation> {
        let (reply, receiver) = oneshot::channel();
        self.waiting().push(Waiter { keys, reply });
        self.arrived.notify_one();
        timeout(limit, receiver).await.ok()?.ok()?
    }

    /// The reads of the next round trip, once there are any.
    pub(super) async fn next_round(&self) -> FetchRound {
        loop {
            {
                let mut waiting = self.waiting();
                // A read that waited too long has dropped its receiver.
                waiting.retain(|waiter| !waiter.reply.is_closed());
                let count = waiting.len().min(MAX_ROUND);
                let mut round: Vec<Waiter> = waiting.drain(..count).collect();
                if !round.is_empty() {
                    round.sort_unstable_by(|one, other| one.keys.cmp(&other.keys));
                    return FetchRound(round);
                }
            }
            self.arrived.notified().await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FetchRound {
    /// The keys to ask for. Reads that wait for one generation share them.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.chunk_by(|one, other| one.keys == other.keys).flat_map(|equal| equal[0].keys.iter().map(String::as_str))
    }

    /// Replies to every read; the tokens are in the order of the keys. One that is missing counts as `None`.
    pub(super) fn complete(self, epoch: Option<&str>, tokens: impl IntoIterator<Item = Option<String>>) {
        let mut tokens = tokens.into_iter();
        let mut previous: Option<(Vec<String>, Option<Generation>)> = None;
        for Waiter { keys, reply } in self.0 {
            let generation = match &previous {
                Some((equal, generation)) if *equal == keys => generation.clone(),
                _ => {
                    let tokens: Vec<Option<String>> = keys.iter().map(|_| tokens.next().flatten()).collect();
                    epoch.and_then(|epoch| Generation::shared(epoch, &tokens))
                }
            };
            // The read may have gone.
            let _ = reply.send(generation.clone());
            previous = Some((keys, generation));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn generation(text: &str) -> Option<Generation> {
        Some(Generation::Shared(text.into()))
    }

    fn tokens<const N: usize>(tokens: [&str; N]) -> [Option<String>; N] {
        tokens.map(|token| Some(token.to_owned()))
    }

    #[tokio::test]
    async fn a_read_that_begins_during_a_round_trip_is_served_by_the_next_one() {
        let fetcher = Arc::new(GenerationFetcher::default());
        let ask = |keys: &[&str]| {
            let (fetcher, keys) = (Arc::clone(&fetcher), keys.iter().map(|key| (*key).to_owned()).collect());
            tokio::spawn(async move { fetcher.current(keys, LIMIT).await })
        };
        let early = [&["b"][..], &["a", "c"], &["b"]].map(ask);
        while fetcher.waiting().len() < 3 {
            tokio::task::yield_now().await;
        }
        let first = fetcher.next_round().await;
        assert_eq!(first.keys().collect::<Vec<_>>(), ["a", "c", "b"]);
        let late = ask(&["b"]);
        while fetcher.waiting().is_empty() {
            tokio::task::yield_now().await;
        }
        first.complete(Some("e"), tokens(["1", "2", "3"]));
        for (task, expected) in early.into_iter().zip(["e.3", "e.1.2", "e.3"]) {
            assert_eq!(task.await.unwrap(), generation(expected));
        }
        assert!(!late.is_finished());
        fetcher.next_round().await.complete(Some("e"), tokens(["4"]));
        assert_eq!(late.await.unwrap(), generation("e.4"));
    }

    #[tokio::test]
    async fn without_every_part_there_is_no_generation() {
        let fetcher = GenerationFetcher::default();
        for (epoch, tokens) in [(None, vec![Some("1".to_owned())]), (Some("e"), vec![None]), (Some("e"), vec![])] {
            let (read, ()) = tokio::join!(fetcher.current(vec!["a".into()], LIMIT), async {
                fetcher.next_round().await.complete(epoch, tokens);
            });
            assert_eq!(read, None);
        }
        assert_eq!(fetcher.current(vec!["a".into()], Duration::from_millis(1)).await, None);
    }
}
