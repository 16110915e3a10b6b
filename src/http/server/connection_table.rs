//! All open connections, and which of them make room for a new client.
//!
//! Policy: when every place is taken, the connections that lose least are closed first: those that have sent nothing, then those whose request has been
//! incomplete for a while, then those that wait for their next request; in each group the oldest first. A connection whose request is being answered is never closed. A
//! connection that was just accepted has a moment for its first byte to arrive: if there are only such ones, the new client waits that long, and no connection of a
//! client that has behaved well is closed for it.
//!
//! The table is locked when a connection begins or ends, never for a request. The candidates of one look at all connections are used one after the other, so that
//! a flood of new connections does not cost a look each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection_state::{ConnectionState, Dispensable};

/// A connection that has sent nothing is not closed before it has been open for this long.
const FIRST_BYTE_GRACE: Duration = Duration::from_millis(10);
/// Candidates other than silent connections are looked for again after this time.
const CANDIDATES_TTL: Duration = Duration::from_millis(10);
/// How many candidates are kept at most.
const MAX_CANDIDATES: usize = 1024;
/// A connection that was asked to end has this time to do so, before others are asked.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(1);
/// Silent connections that are closed at once: one of this many places, at least one.
const SILENT_BATCH_DIVISOR: usize = 256;

/// The table of open connections.
#[derive(Debug)]
pub struct ConnectionTable {
    inner: Mutex<Inner>,
    silent_batch: usize,
}

#[derive(Debug)]
struct Inner {
    places: Vec<Option<Arc<ConnectionState>>>,
    free: Vec<usize>,
    candidates: VecDeque<Candidate>,
    candidates_since: Option<Instant>,
    /// Those that were asked to end last.
    asked: Vec<Arc<ConnectionState>>,
    asked_since: Option<Instant>,
}

/// A connection that can be closed, in the order in which they are.
#[derive(Debug)]
struct Candidate {
    dispensable: Dispensable,
    /// When it began to be dispensable.
    began: Instant,
    /// `began`, in nanoseconds since the connection was opened.
    since: u64,
    state: Arc<ConnectionState>,
}

/// The place of an open connection, until it is dropped.
#[derive(Debug)]
pub struct Place {
    table: Arc<ConnectionTable>,
    index: usize,
}

impl ConnectionTable {
    /// A table for this many connections.
    pub fn new(max_connections: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                places: Vec::new(),
                free: Vec::new(),
                candidates: VecDeque::new(),
                candidates_since: None,
                asked: Vec::new(),
                asked_since: None,
            }),
            silent_batch: (max_connections / SILENT_BATCH_DIVISOR).max(1),
        }
    }

    /// Adds a connection.
    pub fn add(self: &Arc<Self>, state: Arc<ConnectionState>) -> Place {
        let mut inner = self.lock();
        let index = match inner.free.pop() {
            Some(index) => {
                inner.places[index] = Some(state);
                index
            }
            None => {
                inner.places.push(Some(state));
                inner.places.len() - 1
            }
        };
        Place { table: Arc::clone(self), index }
    }

    /// Asks those connections to end that lose least. Which of them do so is seen when their places become free: one that has become busy
    /// stays.
    pub fn evict(&self) {
        let now = Instant::now();
        let mut inner = self.lock();
        if inner.awaits_places(now) {
            return;
        }
        inner.drop_outdated_candidates();
        if !inner.has_current_candidates(now) {
            inner.find_candidates(now);
        }
        let mut remaining = self.silent_batch;
        while remaining > 0
            && let Some(candidate) = inner.candidates.pop_front()
        {
            candidate.state.request_eviction(candidate.since);
            remaining = if candidate.dispensable == Dispensable::Silent { remaining - 1 } else { 0 };
            inner.asked.push(candidate.state);
            inner.asked_since = Some(now);
            inner.drop_outdated_candidates();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is complete before anything can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether connections that were asked to end are still doing so.
    fn awaits_places(&mut self, now: Instant) -> bool {
        let is_recent = self.asked_since.is_some_and(|since| now.saturating_duration_since(since) < EVICTION_TIMEOUT);
        self.asked.retain(|state| is_recent && state.is_asked_to_end());
        !self.asked.is_empty()
    }

    /// Drops the next candidates up to the first that is still dispensable.
    fn drop_outdated_candidates(&mut self) {
        let is_outdated = |next: &Candidate| next.state.dispensable() != Some((next.dispensable, next.since));
        while self.candidates.front().is_some_and(is_outdated) {
            self.candidates.pop_front();
        }
    }

    /// Whether the next candidate is still one of those that lose least.
    fn has_current_candidates(&self, now: Instant) -> bool {
        let is_recent =
            self.candidates_since.is_some_and(|since| now.saturating_duration_since(since) < CANDIDATES_TTL);
        self.candidates.front().map_or(is_recent, |next| is_recent || next.dispensable == Dispensable::Silent)
    }

    /// Finds the connections that lose least.
    fn find_candidates(&mut self, now: Instant) {
        let mut found = Vec::new();
        let mut least = Dispensable::Idle;
        for state in self.places.iter().flatten() {
            let Some((dispensable, since)) = state.dispensable() else { continue };
            if dispensable > least {
                continue;
            }
            if dispensable < least {
                least = dispensable;
                found.clear();
            }
            let began = state.opened() + Duration::from_nanos(since);
            if dispensable != Dispensable::Silent || now.saturating_duration_since(began) >= FIRST_BYTE_GRACE {
                found.push(Candidate { dispensable, began, since, state: Arc::clone(state) });
            }
        }
        if found.len() > MAX_CANDIDATES {
            found.select_nth_unstable_by_key(MAX_CANDIDATES, |candidate| candidate.began);
            found.truncate(MAX_CANDIDATES);
        }
        found.sort_unstable_by_key(|candidate| candidate.began);
        self.candidates = found.into();
        self.candidates_since = Some(now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.table.lock();
        if let Some(state) = inner.places[self.index].take() {
            state.forget_eviction();
        }
        inner.free.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Connection = (Arc<ConnectionState>, Place);

    /// A table with connections that these functions make.
    fn table(makers: &[fn() -> ConnectionState]) -> (Arc<ConnectionTable>, Vec<Option<Connection>>) {
        let table = Arc::new(ConnectionTable::new(makers.len()));
        let connections = makers.iter().map(|make| {
            let state = Arc::new(make());
            Some((Arc::clone(&state), table.add(state)))
        });
        let connections = connections.collect();
        std::thread::sleep(2 * FIRST_BYTE_GRACE);
        (table, connections)
    }

    fn silent() -> ConnectionState {
        ConnectionState::new()
    }

    fn busy() -> ConnectionState {
        let state = ConnectionState::new();
        state.record_input();
        state.begin_request();
        state
    }

    fn idle() -> ConnectionState {
        let state = busy();
        state.end_request(Instant::now());
        state.record_flush();
        state
    }

    /// Evicts one connection after the other; returns their positions.
    fn evicted(table: &ConnectionTable, connections: &mut [Option<Connection>]) -> Vec<usize> {
        let mut order = Vec::new();
        loop {
            // The next look at the connections is due.
            std::thread::sleep(2 * CANDIDATES_TTL);
            table.evict();
            let is_evicted = |connection: &Option<Connection>| {
                connection.as_ref().is_some_and(|(state, _)| state.eviction().is_some())
            };
            let Some(position) = connections.iter().position(is_evicted) else { return order };
            connections[position] = None;
            order.push(position);
        }
    }

    #[test]
    fn silent_connections_are_evicted_before_idle_ones_and_busy_ones_never() {
        let (table, mut connections) = table(&[idle, busy, silent, idle, silent, busy]);
        assert_eq!(evicted(&table, &mut connections), [2, 4, 0, 3]);
    }

    #[test]
    fn a_new_connection_has_a_moment_for_its_first_byte_during_which_no_idle_one_is_evicted() {
        let (table, mut connections) = table(&[idle, idle]);
        // So new that no scheduling of this test makes it old.
        let state = Arc::new(ConnectionState::opened_at(Instant::now() + Duration::from_secs(3600)));
        connections.push(Some((Arc::clone(&state), table.add(Arc::clone(&state)))));
        assert!(evicted(&table, &mut connections).is_empty());
        state.record_input();
        assert_eq!(evicted(&table, &mut connections), [0, 1]);
    }

    #[test]
    fn a_connection_that_became_busy_after_the_look_stays() {
        let (table, mut connections) = table(&[silent, silent, idle]);
        table.evict();
        let state = |position: usize| &connections[position].as_ref().unwrap().0;
        assert!(state(0).is_asked_to_end());
        table.evict();
        assert!(!state(1).is_asked_to_end(), "the first has time to end");
        state(0).record_input();
        state(1).record_input();
        assert_eq!(state(0).eviction(), None);
        assert_eq!(evicted(&table, &mut connections), [2]);
    }

    #[test]
    fn places_are_used_again() {
        let table = Arc::new(ConnectionTable::new(1));
        for _ in 0..3 {
            drop((table.add(Arc::new(silent())), table.add(Arc::new(silent()))));
        }
        assert_eq!(table.lock().places.len(), 2);
        assert!(table.lock().places.iter().all(Option::is_none));
    }
}
