//! What one connection is doing, and until when it may.
//!
//! Policy: at any moment a connection waits for one thing only, and that wait has a bound: the next request
//! (`idle_timeout`), the rest of a request's head (`head_timeout`; a new connection begins here), or the client to take a byte of
//! its answer (`write_timeout`, whatever else happens). While a request is handled nothing is due here: the body has its
//! own bound and so has the domain.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Handling,
}

/// The state of one connection, shared by its socket, its requests and its timer.
#[derive(Debug)]
pub struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// Since when the socket takes no byte.
    stalled: Option<Instant>,
    /// Something is owed to the client: from a request's head until its answer has left.
    answering: bool,
    /// The client may still be sending what nobody will read.
    unread: bool,
}

impl Activity {
    /// A connection that was just opened.
    pub fn new() -> Self {
        Self(Mutex::new(State {
            phase: Phase::Head,
            since: Instant::now(),
            stalled: None,
            answering: false,
            unread: false,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a few flags: none of them is left half-changed by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come.
    pub fn received(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            state.phase = Phase::Head;
            state.since = Instant::now();
        }
    }

    /// The socket took bytes, or (`false`) none at the moment.
    pub fn wrote(&self, progress: bool) {
        let mut state = self.state();
        if progress {
            state.stalled = None;
        } else if state.stalled.is_none() {
            state.stalled = Some(Instant::now());
        }
    }

    /// Everything written has left.
    pub fn flushed(&self) {
        let mut state = self.state();
        if state.phase != Phase::Handling {
            state.answering = false;
        }
    }

    /// A request's head is complete.
    pub fn request_began(&self) {
        let mut state = self.state();
        state.phase = Phase::Handling;
        state.answering = true;
    }

    /// A request's answer has been handed over for writing.
    pub fn request_ended(&self) {
        let mut state = self.state();
        state.phase = Phase::Idle;
        state.since = Instant::now();
    }

    /// The client's bytes will not all be read.
    pub fn leave_unread(&self) {
        self.state().unread = true;
    }

    /// Whether the client may still be sending what nobody will read.
    pub fn is_unread(&self) -> bool {
        self.state().unread
    }

    /// Whether what is written now answers a request that reached us.
    pub fn is_answering(&self) -> bool {
        self.state().answering
    }

    /// What the connection waits for and until when.
    pub fn due(&self, limits: &config::Server) -> Option<(Instant, Overdue)> {
        let state = self.state();
        if let Some(stalled) = state.stalled {
            return Some((stalled + limits.write_timeout, Overdue::Write));
        }
        match state.phase {
            Phase::Idle => Some((state.since + limits.idle_timeout, Overdue::Idle)),
            Phase::Head => Some((state.since + limits.head_timeout, Overdue::Head)),
            Phase::Handling => None,
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
        let (activity, limits) = (Activity::new(), limits());
        let due = || activity.due(&limits).map(|(_, overdue)| overdue);
        assert_eq!(due(), Some(Overdue::Head));
        activity.request_began();
        assert_eq!(due(), None);
        activity.wrote(false);
        assert_eq!(due(), Some(Overdue::Write));
        activity.wrote(true);
        activity.request_ended();
        assert_eq!(due(), Some(Overdue::Idle));
        activity.received();
        assert_eq!(due(), Some(Overdue::Head));
    }

    #[test]
    fn a_stalled_client_gets_no_more_time_by_being_asked_again() {
        let (activity, limits) = (Activity::new(), limits());
        activity.request_began();
        activity.wrote(false);
        let due = activity.due(&limits);
        activity.wrote(false);
        assert_eq!(activity.due(&limits), due);
    }

    #[test]
    fn an_answer_is_owed_until_it_has_left() {
        let activity = Activity::new();
        assert!(!activity.is_answering());
        activity.request_began();
        activity.flushed();
        assert!(activity.is_answering());
        activity.request_ended();
        assert!(activity.is_answering());
        activity.flushed();
        assert!(!activity.is_answering());
    }
}
