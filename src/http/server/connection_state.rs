//! What one connection is waiting for, and until when.
//!
//! Policy: at any moment a connection waits for one thing only, and that wait has a bound: its first byte (`first_byte_timeout`, and not
//! longer than `head_timeout`), the rest of a request's head (`head_timeout`), the next request (`idle_timeout`), or the client to read its
//! answer (`write_progress.rs`; it applies in every phase). While a request is handled, no deadline applies here: reading the body has its own
//! bound, and so has the domain.
//!
//! A connection without a request can be asked to end, to make room for another client ([`ConnectionState::request_eviction`]). It looks for input
//! first, and stays if there is some: what was taken for idle may have become a request in the meantime.
//!
//! One task runs a connection, on whatever thread, so each part of the state is a plain value in an atomic.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::overdue::Overdue;
use super::write_progress::WriteProgress;
use crate::config;

/// Phase: a new connection, on which nothing has arrived.
const SILENT: u8 = 0;
/// Phase: waiting for a request.
const IDLE: u8 = 1;
/// Phase: reading the head of a request.
const HEAD: u8 = 2;
/// Phase: a request is being handled.
const HANDLING: u8 = 3;
/// The request goes on without its client.
const NOT_CANCELLABLE: u8 = 0;
/// The request ends if the client goes; nothing of the answer has been written.
const CANCELLABLE: u8 = 1;
/// The request ends if the client goes; its answer has begun.
const CANCELLABLE_ANSWER: u8 = 2;
/// A head began, and the clock has not been read since then. Most heads are complete before it has to be.
const UNREAD_CLOCK: u64 = u64::MAX;
/// The connection has not been asked to end.
const NO_EVICTION: u64 = u64::MAX;
/// A head that is incomplete for this long is not one that is just arriving.
const STALE_HEAD_GRACE: Duration = Duration::from_secs(1);

/// How little a connection loses when it is closed. The first is closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dispensable {
    /// It has not sent a byte.
    Silent,
    /// It has sent a part of a request's head, more than [`STALE_HEAD_GRACE`] ago.
    IncompleteHead,
    /// It waits for its next request.
    Idle,
}

/// The state of one connection, shared by its socket, its requests, its timer and the table of all connections. Times are nanoseconds since the
/// connection was opened.
#[derive(Debug)]
pub struct ConnectionState {
    opened: Instant,
    phase: AtomicU8,
    /// When the current phase began.
    since: AtomicU64,
    output: WriteProgress,
    /// From the end of a request's head until its answer has been flushed.
    is_answering: AtomicBool,
    /// Whether the request ends if the client goes.
    cancellation: AtomicU8,
    /// The client may still be sending a body that will not be read.
    has_unread_input: AtomicBool,
    /// The framing of the input is ambiguous, or could not be followed.
    is_framing_lost: AtomicBool,
    /// When the phase began whose connection is to end, see [`Self::request_eviction`].
    eviction: AtomicU64,
    /// Wakes the connection's task.
    waker: OnceLock<Waker>,
}

impl ConnectionState {
    /// A connection that is opened now.
    pub fn new() -> Self {
        Self::opened_at(Instant::now())
    }

    /// A connection that was opened at this time.
    pub(super) fn opened_at(opened: Instant) -> Self {
        Self {
            opened,
            phase: AtomicU8::new(SILENT),
            since: AtomicU64::new(0),
            output: WriteProgress::new(),
            is_answering: AtomicBool::new(false),
            cancellation: AtomicU8::new(NOT_CANCELLABLE),
            has_unread_input: AtomicBool::new(false),
            is_framing_lost: AtomicBool::new(false),
            eviction: AtomicU64::new(NO_EVICTION),
            waker: OnceLock::new(),
        }
    }

    /// When the connection was opened.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Sets how the connection's task is woken. A spawned task keeps one waker for its whole life.
    pub fn set_waker(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    /// Nanoseconds since the connection was opened; the type has room for five centuries.
    fn now(&self) -> u64 {
        self.opened.elapsed().as_nanos() as u64
    }

    /// When the current phase began. Reads the clock if that was postponed.
    fn since(&self) -> u64 {
        let since = self.since.load(Relaxed);
        if since != UNREAD_CLOCK {
            return since;
        }
        let now = self.now();
        self.since.store(now, Relaxed);
        now
    }

    /// Records that bytes have arrived.
    pub fn record_input(&self) {
        if matches!(self.phase.load(Relaxed), SILENT | IDLE) {
            self.phase.store(HEAD, Relaxed);
            self.since.store(UNREAD_CLOCK, Relaxed);
        }
    }

    /// Records how many bytes the socket accepted. Returns for how long it had accepted none.
    pub fn record_accepted(&self, bytes: usize) -> Duration {
        self.output.record_accepted(bytes, || self.now())
    }

    /// Records that the socket accepts no bytes at the moment.
    pub fn record_stall(&self) {
        self.output.record_stall(|| self.now());
    }

    /// Records that everything written has been passed to the kernel.
    pub fn record_flush(&self) {
        if self.phase.load(Relaxed) != HANDLING {
            self.is_answering.store(false, Relaxed);
        }
    }

    /// Records that the head of a request is complete.
    pub fn begin_request(&self) {
        self.phase.store(HANDLING, Relaxed);
        self.is_answering.store(true, Relaxed);
    }

    /// Lets the request end if the client goes.
    pub fn allow_cancellation(&self) {
        self.cancellation.store(CANCELLABLE, Relaxed);
    }

    /// If the request ends when the client goes: whether its answer has begun.
    pub fn cancellable(&self) -> Option<bool> {
        match self.cancellation.load(Relaxed) {
            NOT_CANCELLABLE => None,
            cancellable => Some(cancellable == CANCELLABLE_ANSWER),
        }
    }

    /// Records that the answer is being written.
    pub fn begin_answer(&self) {
        if self.cancellation.load(Relaxed) == CANCELLABLE {
            self.cancellation.store(CANCELLABLE_ANSWER, Relaxed);
        }
    }

    /// Records that the answer has been handed over for writing.
    pub fn end_request(&self, now: Instant) {
        self.phase.store(IDLE, Relaxed);
        self.cancellation.store(NOT_CANCELLABLE, Relaxed);
        self.since.store(now.saturating_duration_since(self.opened).as_nanos() as u64, Relaxed);
    }

    /// Records that a part of the client's input will not be read.
    pub fn leave_input_unread(&self) {
        self.has_unread_input.store(true, Relaxed);
    }

    /// Whether the client may still be sending input that will not be read.
    pub fn has_unread_input(&self) -> bool {
        self.has_unread_input.load(Relaxed)
    }

    /// Records that the framing of the input is ambiguous, or could not be followed.
    pub fn lose_framing(&self) {
        self.is_framing_lost.store(true, Relaxed);
    }

    /// Whether the framing of the input is ambiguous, or could not be followed: no chunked body may be read.
    pub fn is_framing_lost(&self) -> bool {
        self.is_framing_lost.load(Relaxed)
    }

    /// Whether the bytes being written answer a request that reached the service; if not, they are the parser's own.
    pub fn is_answering(&self) -> bool {
        self.is_answering.load(Relaxed)
    }

    /// Whether there has been no request for at least `span`.
    pub fn is_quiet(&self, span: Duration) -> bool {
        let since = Duration::from_nanos(self.since());
        self.phase.load(Relaxed) != HANDLING && self.opened.elapsed().saturating_sub(since) >= span
    }

    /// The deadline of the current wait, and the limit that is exceeded then.
    pub fn due(&self, limits: &config::Server) -> Option<(Instant, Overdue)> {
        let at = |nanoseconds: u64| self.opened + Duration::from_nanos(nanoseconds);
        if let Some((deadline, overdue)) = self.output.due(limits) {
            return Some((at(deadline), overdue));
        }
        match self.phase.load(Relaxed) {
            SILENT => Some((self.opened + limits.first_byte_timeout.min(limits.head_timeout), Overdue::FirstByte)),
            IDLE => Some((at(self.since()) + limits.idle_timeout, Overdue::Idle)),
            HEAD => Some((at(self.since()) + limits.head_timeout, Overdue::Head)),
            _ => None,
        }
    }

    /// What would be lost if the connection were closed, and since when that has been so. `None` if a request is arriving or being answered, or if
    /// the connection has been asked to end. Another task than the connection's may be told what has just changed.
    pub fn dispensable(&self) -> Option<(Dispensable, u64)> {
        if self.is_asked_to_end() { None } else { self.loss() }
    }

    /// Asks the connection to end if the phase that began at `since` still lasts.
    pub fn request_eviction(&self, since: u64) {
        self.eviction.store(since, Relaxed);
        // Without a waker the task has not been polled yet: its first poll finds the request.
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Whether the connection has been asked to end, and neither has ended nor become busy.
    pub fn is_asked_to_end(&self) -> bool {
        self.eviction.load(Relaxed) != NO_EVICTION
    }

    /// Forgets that the connection has been asked to end.
    pub fn forget_eviction(&self) {
        self.eviction.store(NO_EVICTION, Relaxed);
    }

    /// Whether the connection has to end because it was asked to, and why. If the phase that the request concerns is over, it is forgotten.
    pub fn eviction(&self) -> Option<Overdue> {
        let since = self.eviction.load(Relaxed);
        if since == NO_EVICTION {
            return None;
        }
        match self.loss() {
            Some((dispensable, current)) if current == since => Some(match dispensable {
                Dispensable::Silent => Overdue::EvictedSilent,
                Dispensable::IncompleteHead => Overdue::EvictedHead,
                Dispensable::Idle => Overdue::EvictedIdle,
            }),
            _ => {
                self.forget_eviction();
                None
            }
        }
    }

    /// What would be lost if the connection were closed, and since when that has been so.
    fn loss(&self) -> Option<(Dispensable, u64)> {
        let (phase, since) = (self.phase.load(Relaxed), self.since.load(Relaxed));
        match phase {
            SILENT => Some((Dispensable::Silent, 0)),
            HEAD if since != UNREAD_CLOCK && self.now().saturating_sub(since) >= STALE_HEAD_GRACE.as_nanos() as u64 => {
                Some((Dispensable::IncompleteHead, since))
            }
            IDLE if !self.is_answering() => Some((Dispensable::Idle, since)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_limits() -> config::Server {
        let environment = config::Environment { is_root: true, ..config::Environment::default() };
        config::load(&config::Flags::default(), &environment).unwrap().config.server
    }

    fn limits() -> config::Server {
        config::Server {
            head_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(3),
            write_timeout: Duration::from_secs(4),
            first_byte_timeout: Duration::from_millis(500),
            ..default_limits()
        }
    }

    #[test]
    fn exactly_one_limit_applies_in_each_phase() {
        let (state, limits) = (ConnectionState::new(), limits());
        let due = || state.due(&limits).map(|(_, overdue)| overdue);
        assert_eq!(due(), Some(Overdue::FirstByte));
        state.record_input();
        assert_eq!(due(), Some(Overdue::Head));
        state.begin_request();
        assert_eq!(due(), None);
        state.record_stall();
        assert_eq!(due(), Some(Overdue::Write));
        state.record_accepted(1);
        state.end_request(Instant::now());
        assert_eq!(due(), Some(Overdue::Idle));
        state.record_input();
        assert_eq!(due(), Some(Overdue::Head));
    }

    #[test]
    fn the_first_byte_has_no_more_time_than_a_whole_head() {
        let (state, limits) = (ConnectionState::new(), limits());
        let due = |limits: &config::Server| state.due(limits).unwrap().0 - state.opened();
        assert_eq!(due(&limits), limits.first_byte_timeout);
        assert_eq!(
            due(&config::Server { first_byte_timeout: 2 * limits.head_timeout, ..limits.clone() }),
            limits.head_timeout
        );
    }

    #[test]
    fn a_request_is_being_answered_until_its_answer_is_flushed() {
        let state = ConnectionState::new();
        assert!(!state.is_answering());
        state.begin_request();
        state.record_flush();
        assert!(state.is_answering());
        state.end_request(Instant::now());
        assert!(state.is_answering());
        state.record_flush();
        assert!(!state.is_answering());
    }

    #[test]
    fn a_connection_is_dispensable_only_without_a_request() {
        let state = ConnectionState::new();
        let dispensable = || state.dispensable().map(|(dispensable, _)| dispensable);
        assert_eq!(dispensable(), Some(Dispensable::Silent));
        state.record_input();
        assert_eq!(dispensable(), None, "a head is arriving");
        state.since.store(0, Relaxed);
        assert_eq!(dispensable(), None, "it has been arriving for a moment");
        state.begin_request();
        assert_eq!(dispensable(), None);
        state.end_request(Instant::now());
        assert_eq!(dispensable(), None, "the answer is not flushed");
        state.record_flush();
        assert_eq!(dispensable(), Some(Dispensable::Idle));
        let long_ago = Instant::now().checked_sub(2 * STALE_HEAD_GRACE).unwrap();
        let stale = ConnectionState { phase: AtomicU8::new(HEAD), ..ConnectionState::opened_at(long_ago) };
        assert_eq!(stale.dispensable(), Some((Dispensable::IncompleteHead, 0)));
    }

    #[test]
    fn a_connection_that_became_busy_is_not_evicted() {
        let state = ConnectionState::new();
        state.request_eviction(0);
        assert_eq!(state.dispensable(), None, "it has been asked already");
        state.record_input();
        assert_eq!(state.eviction(), None);
        state.begin_request();
        state.end_request(Instant::now());
        state.record_flush();
        let (_, since) = state.dispensable().unwrap();
        state.request_eviction(since);
        state.record_input();
        state.begin_request();
        state.end_request(Instant::now());
        state.record_flush();
        assert_eq!(state.eviction(), None, "it was idle, and is so again after a request");
        state.request_eviction(state.dispensable().unwrap().1);
        assert_eq!(state.eviction(), Some(Overdue::EvictedIdle));
    }
}
