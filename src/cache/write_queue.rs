//! Values on their way to Redis.
//!
//! Policy: no read waits for its value to be stored. The values wait in a queue that is bounded in number and in bytes;
//! when it is full, a value is not stored, which costs a miss.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::generation::FillToken;
use super::value::CacheValue;

/// Values that may wait.
const MAX_QUEUED_WRITES: usize = 1024;
/// Bytes that they may have.
const MAX_QUEUED_BYTES: usize = 8 << 20;
/// Values stored in one round trip.
const MAX_WRITES_PER_ROUND_TRIP: usize = 32;

/// The values that wait.
#[derive(Debug)]
pub(super) struct WriteQueue<V> {
    sender: Sender<QueuedWrite<V>>,
    receiver: Mutex<Receiver<QueuedWrite<V>>>,
    bytes: AtomicUsize,
}

/// A value to be stored.
#[derive(Debug)]
pub(super) struct QueuedWrite<V> {
    pub(super) token: FillToken,
    pub(super) value: V,
}

impl<V: CacheValue> WriteQueue<V> {
    pub(super) fn new() -> Self {
        let (sender, receiver) = channel(MAX_QUEUED_WRITES);
        Self { sender, receiver: Mutex::new(receiver), bytes: AtomicUsize::new(0) }
    }

    /// Queues a value, unless the queue is full.
    pub(super) fn push(&self, write: QueuedWrite<V>) {
        let size = write.value.size();
        let queued = self.bytes.fetch_add(size, Ordering::Relaxed) + size;
        if queued > MAX_QUEUED_BYTES || self.sender.try_send(write).is_err() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// The next values to be stored, at least one.
    pub(super) async fn next(&self) -> Vec<QueuedWrite<V>> {
        let mut writes = Vec::new();
        // The channel never closes, since its sender is a field of this queue.
        self.receiver.lock().await.recv_many(&mut writes, MAX_WRITES_PER_ROUND_TRIP).await;
        let size = writes.iter().map(|write| write.value.size()).sum();
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        writes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::generation::Generation;
    use super::super::tests::fakes::Text;
    use super::*;

    fn write(size: usize) -> QueuedWrite<Text> {
        let generation = Generation::Private { seed: 1, count: 1 };
        let token = FillToken { key: "k".to_owned(), generation, issued_at: Instant::now() };
        QueuedWrite { token, value: Text::from("x".repeat(size).as_str()) }
    }

    #[tokio::test]
    async fn the_queue_is_bounded_in_number_and_in_bytes() {
        for (size, capacity) in [(1, MAX_QUEUED_WRITES), (1 << 20, 8)] {
            let queue = WriteQueue::new();
            (0..2 * MAX_QUEUED_WRITES).for_each(|_| queue.push(write(size)));
            let mut taken = 0;
            while taken < capacity {
                taken += queue.next().await.len();
            }
            assert_eq!((taken, queue.bytes.load(Ordering::Relaxed)), (capacity, 0));
            queue.push(write(size));
            assert_eq!(queue.next().await.len(), 1, "there is room again");
        }
    }
}
