//! Polls a connection again in the same task when it has woken itself.
//!
//! Policy: the parser wakes its own task while it is being polled, each time a handler takes a part of a body from it. Going back
//! through the scheduler would wake another thread without need and could move the connection to it. So the connection is polled
//! again at once, a few times, before it has to queue like every other task.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

/// How often the future is polled before the task goes back to the scheduler.
const MAX_REPOLLS: usize = 4;

/// Set while the future is being polled: a wake then does not need to wake the task.
const RUNNING: u8 = 1;
/// Set when the future has been woken since its last poll.
const WOKEN: u8 = 2;

/// Receives the wakes of one future of a task.
#[derive(Debug)]
pub struct RepollOnWake {
    state: Arc<State>,
    waker: Waker,
}

#[derive(Debug)]
struct State {
    /// The waker of the task. A spawned task keeps one waker for its whole life.
    task: OnceLock<Waker>,
    flags: AtomicU8,
}

impl RepollOnWake {
    /// For a future that has not been polled yet.
    pub fn new() -> Self {
        let state = Arc::new(State { task: OnceLock::new(), flags: AtomicU8::new(0) });
        Self { waker: Waker::from(Arc::clone(&state)), state }
    }

    /// Polls until the future is ready, has not woken itself, or has been polled [`MAX_REPOLLS`] times. Must always be called
    /// from one and the same task.
    pub fn poll<T>(&self, cx: &mut Context<'_>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let task = self.state.task.get_or_init(|| cx.waker().clone());
        let mut inner = Context::from_waker(&self.waker);
        for _ in 0..MAX_REPOLLS {
            // Each change of the flags is a read-modify-write, so that a poll sees everything that was written before the wake.
            self.state.flags.swap(RUNNING, AcqRel);
            if let Poll::Ready(output) = poll(&mut inner) {
                return Poll::Ready(output);
            }
            if self.state.flags.compare_exchange(RUNNING, 0, AcqRel, Acquire).is_ok() {
                return Poll::Pending;
            }
        }
        self.state.flags.swap(WOKEN, AcqRel);
        task.wake_by_ref();
        Poll::Pending
    }
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.flags.fetch_or(WOKEN, AcqRel) == 0
            && let Some(task) = self.task.get()
        {
            task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct WakeCounter(AtomicUsize);

    impl Wake for WakeCounter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, AcqRel);
        }
    }

    fn counting_waker() -> (Arc<WakeCounter>, Waker) {
        let wakes = Arc::new(WakeCounter(AtomicUsize::new(0)));
        (Arc::clone(&wakes), Waker::from(wakes))
    }

    #[test]
    fn a_future_that_wakes_itself_is_polled_again_without_waking_the_task() {
        let (wakes, waker) = counting_waker();
        let mut remaining = 2;
        let outcome = RepollOnWake::new().poll(&mut Context::from_waker(&waker), |cx| {
            remaining -= 1;
            cx.waker().wake_by_ref();
            if remaining == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        assert_eq!((outcome, wakes.0.load(Acquire)), (Poll::Ready(()), 0));
    }

    #[test]
    fn a_future_that_always_wakes_itself_goes_back_to_the_scheduler() {
        let (wakes, waker) = counting_waker();
        let mut polls = 0;
        let outcome: Poll<()> = RepollOnWake::new().poll(&mut Context::from_waker(&waker), |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!((outcome, polls, wakes.0.load(Acquire)), (Poll::Pending, MAX_REPOLLS, 1));
    }

    #[test]
    fn a_wake_between_polls_wakes_the_task() {
        let (wakes, waker) = counting_waker();
        let repoll = RepollOnWake::new();
        let mut kept = None;
        let outcome: Poll<()> = repoll.poll(&mut Context::from_waker(&waker), |cx| {
            kept = Some(cx.waker().clone());
            Poll::Pending
        });
        assert_eq!((outcome, wakes.0.load(Acquire)), (Poll::Pending, 0));
        kept.unwrap().wake();
        assert_eq!(wakes.0.load(Acquire), 1);
    }
}
