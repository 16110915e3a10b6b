//! The one timer of a connection.
//!
//! Policy: the timer is moved to a later deadline only after it has fired, so a request normally costs no timer operation.
//!
//! A task that has used up its budget gets `Pending` from every resource of the runtime, also from a timer, which then has not registered the
//! task's waker. So the timer is polled outside the budget; otherwise the deadline of a connection that has just been busy would be missed.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

use super::connection_state::ConnectionState;
use super::overdue::Overdue;
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

    /// Ready when the client is overdue or its place is needed. Must be polled after each activity of the connection, so that it sees every change of
    /// the state.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Overdue> {
        if let Some(evicted) = self.state.eviction() {
            return Poll::Ready(evicted);
        }
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
            if pin!(unconstrained(timer.as_mut())).poll(cx).is_pending() {
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::task::coop::{consume_budget, has_budget_remaining};

    use super::*;

    #[tokio::test]
    async fn a_deadline_is_kept_by_a_task_that_has_used_up_its_budget() {
        let environment = config::Environment { is_root: true, ..config::Environment::default() };
        let defaults = config::load(&config::Flags::default(), &environment).unwrap().config.server;
        let limits = config::Server { write_timeout: Duration::from_millis(20), ..defaults };
        let state = ConnectionState::new();
        state.record_stall();
        let mut timer = TimeoutTimer::new(&limits, &state);
        let mut is_busy = true;
        let overdue = poll_fn(|cx| {
            while is_busy && has_budget_remaining() {
                let _ = pin!(consume_budget()).poll(cx);
            }
            is_busy = false;
            timer.poll(cx)
        });
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), overdue).await.ok(), Some(Overdue::Write));
    }
}
