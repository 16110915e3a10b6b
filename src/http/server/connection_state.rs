//! What one connection is doing, and until when it may.
//!
//! Policy: at any moment a connection waits for one thing only, and that wait has a bound: the next request
//! (`idle_timeout`), the rest of a request's head (`head_timeout`; a new connection begins here), or the client to take a byte of
//! its answer (`write_timeout`, whatever else happens). While a request is handled nothing is due here: the body has its
//! own bound and so has the domain.
//!
//! One task runs a connection, whatever thread it is on, so each part of the state is a plain value in an atomic.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::config;

/// Why a connection was closed from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// No request came.
    Idle,
    /// A request began and its head did not come to its end.
    Head,
    /// The client took no byte of its answer.
    Write,
}

/// Waiting for a request.
const IDLE: u8 = 0;
/// A request's head is coming.
const HEAD: u8 = 1;
/// A request is being answered.
const HANDLING: u8 = 2;
/// The socket takes bytes.
const NOT_STALLED: u64 = u64::MAX;
/// A head began, and nobody has looked at the clock since: most are complete by then.
const JUST_NOW: u64 = u64::MAX;

/// The state of one connection, shared by its socket, its requests and its timer. Moments are nanoseconds since it was
/// opened.
#[derive(Debug)]
pub struct ConnectionState {
    opened: Instant,
    phase: AtomicU8,
    /// When the phase began.
    since: AtomicU64,
    /// Since when the socket takes no byte.
    stalled: AtomicU64,
    /// Something is owed to the client: from a request's head until its answer has left.
    answering: AtomicBool,
    /// The client may still be sending what nobody will read.
    unread: AtomicBool,
}

impl ConnectionState {
    /// A connection that was just opened.
    pub fn new() -> Self {
        Self {
            opened: Instant::now(),
            phase: AtomicU8::new(HEAD),
            since: AtomicU64::new(0),
            stalled: AtomicU64::new(NOT_STALLED),
            answering: AtomicBool::new(false),
            unread: AtomicBool::new(false),
        }
    }

    /// Nanoseconds since the connection was opened; five centuries fit.
    fn now(&self) -> u64 {
        self.opened.elapsed().as_nanos() as u64
    }

    /// When the phase began.
    fn since(&self) -> u64 {
        let since = self.since.load(Relaxed);
        if since != JUST_NOW {
            return since;
        }
        let now = self.now();
        self.since.store(now, Relaxed);
        now
    }

    /// Bytes have come.
    pub fn received(&self) {
        if self.phase.load(Relaxed) == IDLE {
            self.phase.store(HEAD, Relaxed);
            self.since.store(JUST_NOW, Relaxed);
        }
    }

    /// The socket took bytes, or (`false`) none at the moment.
    pub fn wrote(&self, progress: bool) {
        if progress {
            self.stalled.store(NOT_STALLED, Relaxed);
        } else if self.stalled.load(Relaxed) == NOT_STALLED {
            self.stalled.store(self.now(), Relaxed);
        }
    }

    /// Everything written has left.
    pub fn flushed(&self) {
        if self.phase.load(Relaxed) != HANDLING {
            self.answering.store(false, Relaxed);
        }
    }

    /// A request's head is complete.
    pub fn request_began(&self) {
        self.phase.store(HANDLING, Relaxed);
        self.answering.store(true, Relaxed);
    }

    /// A request's answer has been handed over for writing.
    pub fn request_ended(&self, now: Instant) {
        self.phase.store(IDLE, Relaxed);
        self.since.store(now.saturating_duration_since(self.opened).as_nanos() as u64, Relaxed);
    }

    /// The client's bytes will not all be read.
    pub fn leave_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Whether the client may still be sending what nobody will read.
    pub fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Whether what is written now answers a request that reached us.
    pub fn is_answering(&self) -> bool {
        self.answering.load(Relaxed)
    }

    /// Whether no request has been at hand for so long.
    pub fn is_quiet(&self, span: Duration) -> bool {
        let since = Duration::from_nanos(self.since());
        self.phase.load(Relaxed) != HANDLING && self.opened.elapsed().saturating_sub(since) >= span
    }

    /// What the connection waits for and until when.
    pub fn due(&self, limits: &config::Server) -> Option<(Instant, Overdue)> {
        let at = |moment: u64, limit| self.opened + Duration::from_nanos(moment) + limit;
        let stalled = self.stalled.load(Relaxed);
        if stalled != NOT_STALLED {
            return Some((at(stalled, limits.write_timeout), Overdue::Write));
        }
        match self.phase.load(Relaxed) {
            IDLE => Some((at(self.since(), limits.idle_timeout), Overdue::Idle)),
            HEAD => Some((at(self.since(), limits.head_timeout), Overdue::Head)),
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
            max_head: 8192,
            head_timeout: Duration::from_secs(1),
            body_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(3),
            write_timeout: Duration::from_secs(4),
            drain_timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn one_thing_is_due_at_any_moment() {
        let (connection, limits) = (ConnectionState::new(), limits());
        let due = || connection.due(&limits).map(|(_, overdue)| overdue);
        assert_eq!(due(), Some(Overdue::Head));
        connection.request_began();
        assert_eq!(due(), None);
        connection.wrote(false);
        assert_eq!(due(), Some(Overdue::Write));
        connection.wrote(true);
        connection.request_ended(Instant::now());
        assert_eq!(due(), Some(Overdue::Idle));
        connection.received();
        assert_eq!(due(), Some(Overdue::Head));
    }

    #[test]
    fn a_stalled_client_gets_no_more_time_by_being_asked_again() {
        let (connection, limits) = (ConnectionState::new(), limits());
        connection.request_began();
        connection.wrote(false);
        let due = connection.due(&limits);
        connection.wrote(false);
        assert_eq!(connection.due(&limits), due);
    }

    #[test]
    fn an_answer_is_owed_until_it_has_left() {
        let connection = ConnectionState::new();
        assert!(!connection.is_answering());
        connection.request_began();
        connection.flushed();
        assert!(connection.is_answering());
        connection.request_ended(Instant::now());
        assert!(connection.is_answering());
        connection.flushed();
        assert!(!connection.is_answering());
    }
}
