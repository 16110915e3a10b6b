//! Admission of lists that have to be read from the database.
//!
//! Policy: a list gets a slot before its first record is read, and keeps it until it is complete in memory or, if it is streamed, until its client
//! has taken the last chunk. The slots are shared fairly ([`Usage::is_fair`]): one client alone gets `max_lists` of twice as many, and there is
//! always one left for a client that has none. Reads that find no slot wait in a queue for each client, and the clients take turns, so that
//! those of one client do not hold up those of another. A read that is dropped leaves the queue.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::list_client::ListClient;
use crate::peer_counts::{Peer, PeerCount, PeerCounts};
use crate::telemetry::metrics::Metrics;

/// The slots of all lists.
#[derive(Debug)]
pub(super) struct ListSlots {
    counts: Arc<PeerCounts>,
    capacity: u64,
    queue: Mutex<Queue>,
    in_use: IntGauge,
    waiting: IntGauge,
}

/// The reads that wait for a slot.
#[derive(Debug, Default)]
struct Queue {
    /// Those of each client, oldest first. No client has none.
    by_peer: HashMap<Peer, BTreeMap<u64, Waiting>>,
    /// The clients, the next one first.
    turns: VecDeque<Peer>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiting {
    client: ListClient,
    slot: oneshot::Sender<PeerCount>,
}

/// The right to read one list. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct ListSlot {
    /// `Some` until it is dropped.
    count: Option<PeerCount>,
    slots: Arc<ListSlots>,
}

/// A place in the queue, which is left when this is dropped.
struct Place<'a> {
    slots: &'a Arc<ListSlots>,
    peer: Peer,
    ticket: u64,
    /// `Some` until it is dropped.
    slot: Option<oneshot::Receiver<PeerCount>>,
}

impl ListSlots {
    /// `max_lists` for one client, and twice as many for all.
    pub(super) fn new(max_lists: usize, metrics: &Metrics) -> Self {
        Self {
            counts: Arc::default(),
            capacity: 2 * max_lists as u64,
            queue: Mutex::default(),
            in_use: metrics.lists_in_progress.clone(),
            waiting: metrics.lists_waiting.clone(),
        }
    }

    /// A slot, if there is one for this client and no earlier read of the client waits for it.
    pub(super) fn try_acquire(self: &Arc<Self>, client: &ListClient) -> Option<ListSlot> {
        if self.queue().by_peer.contains_key(&client.peer) {
            return None;
        }
        self.try_take(client).map(|count| self.slot(count))
    }

    /// Waits for a slot; `None` if there is none by the deadline.
    pub(super) async fn acquire(self: &Arc<Self>, client: &ListClient, deadline: Instant) -> Option<ListSlot> {
        if let Some(slot) = self.try_acquire(client) {
            return Some(slot);
        }
        let mut place = self.enqueue(client);
        // A slot may have become free before the place was taken.
        self.grant();
        let count = timeout_at(deadline, place.slot.as_mut()?).await.ok()?.ok()?;
        Some(self.slot(count))
    }

    fn slot(self: &Arc<Self>, count: PeerCount) -> ListSlot {
        self.in_use.inc();
        ListSlot { count: Some(count), slots: Arc::clone(self) }
    }

    fn try_take(&self, client: &ListClient) -> Option<PeerCount> {
        self.counts.try_add(client.peer, 1, |usage| client.may_add(usage, 1, self.capacity))
    }

    fn enqueue(self: &Arc<Self>, client: &ListClient) -> Place<'_> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.queue();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        let Queue { by_peer, turns, .. } = &mut *queue;
        let waiting = by_peer.entry(client.peer).or_insert_with(|| {
            turns.push_back(client.peer);
            BTreeMap::new()
        });
        waiting.insert(ticket, Waiting { client: *client, slot: sender });
        drop(queue);
        self.waiting.inc();
        Place { slots: self, peer: client.peer, ticket, slot: Some(receiver) }
    }

    /// Gives free slots to those who wait: at most one to each client.
    fn grant(&self) {
        let mut queue = self.queue();
        let Queue { by_peer, turns, .. } = &mut *queue;
        for _ in 0..turns.len() {
            let Some(peer) = turns.pop_front() else { return };
            let Some(waiting) = by_peer.get_mut(&peer) else { continue };
            if let Some(first) = waiting.first_entry()
                && let Some(count) = self.try_take(&first.get().client)
            {
                // If the read has just left, the count is free again when this returns, and its place calls `grant`.
                let _ = first.remove().slot.send(count);
            }
            if waiting.is_empty() {
                by_peer.remove(&peer);
            } else {
                turns.push_back(peer);
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Each change is complete before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ListSlot {
    fn drop(&mut self) {
        drop(self.count.take());
        self.slots.in_use.dec();
        self.slots.grant();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Drops a slot that was granted but not taken.
        drop(self.slot.take());
        self.slots.waiting.dec();
        let mut queue = self.slots.queue();
        let Queue { by_peer, turns, .. } = &mut *queue;
        if let Some(waiting) = by_peer.get_mut(&self.peer) {
            waiting.remove(&self.ticket);
            if waiting.is_empty() {
                by_peer.remove(&self.peer);
                turns.retain(|peer| *peer != self.peer);
            }
        }
        drop(queue);
        self.slots.grant();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::*;

    fn is_pending<F: Future>(future: &mut Pin<Box<F>>) -> bool {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn slots(max_lists: usize) -> Arc<ListSlots> {
        Arc::new(ListSlots::new(max_lists, &Metrics::new("0", "0").unwrap()))
    }

    fn client(host: u8) -> ListClient {
        ListClient::new([10, 0, 0, host].into(), std::time::Instant::now())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn take_all(slots: &Arc<ListSlots>, client: &ListClient) -> Vec<ListSlot> {
        std::iter::from_fn(|| slots.try_acquire(client)).collect()
    }

    #[tokio::test]
    async fn a_client_that_takes_all_it_can_leaves_slots_for_others() {
        let slots = slots(4);
        let greedy = take_all(&slots, &client(1));
        assert_eq!(greedy.len(), 4);
        assert!(slots.acquire(&client(1), soon()).await.is_none());
        let others: Vec<_> = (2..6).map(|host| slots.try_acquire(&client(host))).collect();
        assert!(others.iter().all(Option::is_some));
        assert_eq!(slots.in_use.get(), 8);
        assert!(slots.try_acquire(&client(9)).is_none(), "all are in use");
        assert!(slots.acquire(&client(9), soon()).await.is_none());
        drop((greedy, others));
        assert_eq!((slots.in_use.get(), slots.waiting.get(), slots.counts.total()), (0, 0, 0));
    }

    #[tokio::test]
    async fn an_exempt_peer_may_take_every_slot() {
        let slots = slots(4);
        let proxy = ListClient { is_exempt: true, ..client(1) };
        assert_eq!(take_all(&slots, &proxy).len(), 8);
    }

    #[tokio::test]
    async fn a_waiting_read_gets_the_slot_that_becomes_free_in_the_order_of_arrival() {
        let slots = slots(1);
        let held = slots.try_acquire(&client(1)).unwrap();
        let (first, second) = (client(1), client(1));
        let mut first = Box::pin(slots.acquire(&first, later()));
        let mut second = Box::pin(slots.acquire(&second, later()));
        assert!(is_pending(&mut first));
        assert!(is_pending(&mut second));
        assert!(slots.try_acquire(&client(1)).is_none(), "a later read does not overtake");
        drop(held);
        assert!(is_pending(&mut second));
        let slot = first.await.unwrap();
        assert!(is_pending(&mut second));
        drop(slot);
        assert!(second.await.is_some());
        assert!(slots.queue().by_peer.is_empty() && slots.queue().turns.is_empty());
    }

    #[tokio::test]
    async fn reads_of_one_client_do_not_hold_up_those_of_another() {
        let slots = slots(1);
        let (one, other) = (slots.try_acquire(&client(1)).unwrap(), slots.try_acquire(&client(2)).unwrap());
        let (greedy, modest) = (client(1), client(3));
        let mut greedy: Vec<_> = (0..5).map(|_| Box::pin(slots.acquire(&greedy, later()))).collect();
        for waiting in &mut greedy {
            assert!(is_pending(waiting));
        }
        let mut modest = Box::pin(slots.acquire(&modest, later()));
        assert!(is_pending(&mut modest));
        // The client with a slot would need a second free one.
        drop(other);
        let modest = modest.await.unwrap();
        drop((one, modest));
        assert!(greedy.remove(0).await.is_some());
    }

    #[tokio::test]
    async fn a_read_that_leaves_the_queue_passes_its_slot_on() {
        let slots = slots(1);
        let held = slots.try_acquire(&client(1)).unwrap();
        let (gone, next) = (client(1), client(1));
        let mut gone = Box::pin(slots.acquire(&gone, later()));
        let mut next = Box::pin(slots.acquire(&next, later()));
        assert!(is_pending(&mut gone));
        assert!(is_pending(&mut next));
        drop(held);
        // It has been granted the slot, and leaves without having seen it.
        drop(gone);
        assert!(next.await.is_some());
        assert_eq!((slots.waiting.get(), slots.counts.total()), (0, 0));
    }
}
