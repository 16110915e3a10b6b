//! The one timer of a connection.
//!
//! Policy: the timer is moved to a later deadline only after it has fired, so a request normally costs no timer operation.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use super::connection_state::{ConnectionState, Overdue};
use crate::config;

/// Watches whatever the connection waits for.
pub struct TimeoutTimer<'a> {
    limits: &'a config::Server,
    state: &'a ConnectionState,
    timer: Option<Pin<Box<Sleep>>>,
    /// The deadline for which the timer holds this task's waker.
    registered: Option<Instant>,
}

impl<'a> TimeoutTimer<'a> {
    /// A timer for a connection in this state. It is created in the runtime when the first deadline is known.
    pub fn new(limits: &'a config::Server, state: &'a ConnectionState) -> Self {
        Self { limits, state, timer: None, registered: None }
    }

    /// Ready when the client is overdue. Must be polled after each activity of the connection, so that it sees every change of
    /// the state.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Overdue> {
        loop {
            let Some((due, overdue)) = self.state.due(self.limits) else { return Poll::Pending };
            let due = Instant::from_std(due);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if timer.deadline() > due {
                timer.as_mut().reset(due);
                self.registered = None;
            }
            // A timer that has been polled wakes this task without being polled again.
            if self.registered == Some(timer.deadline()) && !timer.is_elapsed() {
                return Poll::Pending;
            }
            if timer.as_mut().poll(cx).is_pending() {
                self.registered = Some(timer.deadline());
                return Poll::Pending;
            }
            if due <= Instant::now() {
                return Poll::Ready(overdue);
            }
            // It fired for a wait that has ended since then.
            timer.as_mut().reset(due);
        }
    }
}
