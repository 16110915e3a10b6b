//! What one connection is waiting for, and until when.
//!
//! Policy: at any moment a connection waits for one thing only, and that wait has a bound: the next request
//! (`idle_timeout`), the rest of a request's head (`head_timeout`; a new connection begins here), or the client to read a byte of
//! its answer (`write_timeout`; it applies in every phase). While a request is handled, no deadline applies here: reading the body
//! has its own bound, and so has the domain.
//!
//! One task runs a connection, on whatever thread, so each part of the state is a plain value in an atomic.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::config;

/// Which time limit a client exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// `idle_timeout`: no request arrived.
    Idle,
    /// `head_timeout`: the head of a request was not complete.
    Head,
    /// `write_timeout`: the client read no byte of its answer.
    Write,
}

/// Phase: waiting for a request.
const IDLE: u8 = 0;
/// Phase: reading the head of a request.
const HEAD: u8 = 1;
/// Phase: a request is being handled.
const HANDLING: u8 = 2;
/// The socket accepts bytes.
const NOT_STALLED: u64 = u64::MAX;
/// A head began, and the clock has not been read since then. Most heads are complete before it has to be.
const UNREAD_CLOCK: u64 = u64::MAX;

/// The state of one connection, shared by its socket, its requests and its timer. Times are nanoseconds since the connection was
/// opened.
#[derive(Debug)]
pub struct ConnectionState {
    opened: Instant,
    phase: AtomicU8,
    /// When the current phase began.
    since: AtomicU64,
    /// Since when the socket has accepted no byte.
    stalled_since: AtomicU64,
    /// From the end of a request's head until its answer has been flushed.
    is_answering: AtomicBool,
    /// The client may still be sending a body that will not be read.
    has_unread_input: AtomicBool,
    /// The framing of the input is ambiguous, or could not be followed.
    is_framing_lost: AtomicBool,
}

impl ConnectionState {
    /// A connection that is opened now.
    pub fn new() -> Self {
        Self {
            opened: Instant::now(),
            phase: AtomicU8::new(HEAD),
            since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(NOT_STALLED),
            is_answering: AtomicBool::new(false),
            has_unread_input: AtomicBool::new(false),
            is_framing_lost: AtomicBool::new(false),
        }
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
        if self.phase.load(Relaxed) == IDLE {
            self.phase.store(HEAD, Relaxed);
            self.since.store(UNREAD_CLOCK, Relaxed);
        }
    }

    /// Records whether the socket accepted bytes (`true`) or none for the moment.
    pub fn record_write(&self, progress: bool) {
        if progress {
            self.stalled_since.store(NOT_STALLED, Relaxed);
        } else if self.stalled_since.load(Relaxed) == NOT_STALLED {
            self.stalled_since.store(self.now(), Relaxed);
        }
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

    /// Records that the answer has been handed over for writing.
    pub fn end_request(&self, now: Instant) {
        self.phase.store(IDLE, Relaxed);
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
        let deadline = |since: u64, limit| self.opened + Duration::from_nanos(since) + limit;
        let stalled_since = self.stalled_since.load(Relaxed);
        if stalled_since != NOT_STALLED {
            return Some((deadline(stalled_since, limits.write_timeout), Overdue::Write));
        }
        match self.phase.load(Relaxed) {
            IDLE => Some((deadline(self.since(), limits.idle_timeout), Overdue::Idle)),
            HEAD => Some((deadline(self.since(), limits.head_timeout), Overdue::Head)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> config::Server {
        config::Server {
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: None,
            max_connections: 1,
            max_body: 1,
            body_budget: 1,
            max_head: 8192,
            head_timeout: Duration::from_secs(1),
            body_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(3),
            write_timeout: Duration::from_secs(4),
            drain_timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn exactly_one_limit_applies_in_each_phase() {
        let (state, limits) = (ConnectionState::new(), limits());
        let due = || state.due(&limits).map(|(_, overdue)| overdue);
        assert_eq!(due(), Some(Overdue::Head));
        state.begin_request();
        assert_eq!(due(), None);
        state.record_write(false);
        assert_eq!(due(), Some(Overdue::Write));
        state.record_write(true);
        state.end_request(Instant::now());
        assert_eq!(due(), Some(Overdue::Idle));
        state.record_input();
        assert_eq!(due(), Some(Overdue::Head));
    }

    #[test]
    fn a_further_write_without_progress_does_not_extend_the_deadline() {
        let (state, limits) = (ConnectionState::new(), limits());
        state.begin_request();
        state.record_write(false);
        let due = state.due(&limits);
        state.record_write(false);
        assert_eq!(state.due(&limits), due);
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
}
