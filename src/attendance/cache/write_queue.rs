//! Answers on their way to Redis.
//!
//! Policy: no read waits for its answer to be stored. What is to be stored waits here, bounded in number and in bytes;
//! when that is full it is not stored, which costs a miss.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::generation::Generation;
use crate::attendance::answer::Answer;

/// Answers that may wait.
const MOST: usize = 1024;
/// Bytes of bodies that may.
const MOST_BYTES: usize = 8 << 20;
/// Answers stored in one round trip.
const AT_ONCE: usize = 32;

/// The answers that wait.
#[derive(Debug)]
pub(super) struct Backlog {
    sender: Sender<Job>,
    receiver: Mutex<Receiver<Job>>,
    bytes: AtomicUsize,
}

/// An answer to be stored.
#[derive(Debug)]
pub(super) struct Job {
    /// Without the prefix.
    pub(super) key: String,
    pub(super) generation: Generation,
    pub(super) answer: Answer,
    /// Before PostgreSQL was asked.
    pub(super) asked: Instant,
}

impl Backlog {
    pub(super) fn new() -> Self {
        let (sender, receiver) = channel(MOST);
        Self { sender, receiver: Mutex::new(receiver), bytes: AtomicUsize::new(0) }
    }

    /// Takes an answer, or does not.
    pub(super) fn push(&self, job: Job) {
        let bytes = job.answer.content.body.len();
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MOST_BYTES || self.sender.try_send(job).is_err() {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// The next answers to be stored, at least one.
    pub(super) async fn next(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        // The sender is in here, too: there is always one more to come.
        self.receiver.lock().await.recv_many(&mut jobs, AT_ONCE).await;
        let bytes = jobs.iter().map(|job| job.answer.content.body.len()).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendance::answer::CacheStatus;

    fn job(bytes: usize) -> Job {
        let answer = Answer::fresh(vec![b'x'; bytes].into(), None, CacheStatus::Miss);
        Job { key: "k".to_owned(), generation: Generation::Private(1), answer, asked: Instant::now() }
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_number_and_in_bytes() {
        for (bytes, most) in [(1, MOST), (1 << 20, 8)] {
            let backlog = Backlog::new();
            (0..2 * MOST).for_each(|_| backlog.push(job(bytes)));
            let mut taken = 0;
            while taken < most {
                taken += backlog.next().await.len();
            }
            assert_eq!((taken, backlog.bytes.load(Ordering::Relaxed)), (most, 0));
            backlog.push(job(bytes));
            assert_eq!(backlog.next().await.len(), 1, "there is room again");
        }
    }
}
