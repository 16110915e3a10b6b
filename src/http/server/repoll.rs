//! One turn of a connection, as long as it has something to do.
//!
//! Policy: the parser wakes its own task while it runs, each time a handler takes a piece of a body from it. To come again by way of the
//! scheduler would wake another thread for nothing and let it take the connection along; so it is asked again here and now, a few
//! times, before it has to queue like everybody else.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

/// Asked again this often at the most.
const MAX_REPOLLS: usize = 4;

/// Set while it runs: whoever wakes it then need not wake its task.
const RUNNING: u8 = 1;
/// Set when it has been woken since it was last asked.
const WOKEN: u8 = 2;

/// Takes the wakes of one future of a task.
#[derive(Debug)]
pub struct RepollOnWake {
    state: Arc<State>,
    waker: Waker,
}

#[derive(Debug)]
struct State {
    /// The task's own; a spawned task has one for all its life.
    task: OnceLock<Waker>,
    flags: AtomicU8,
}

impl RepollOnWake {
    /// For a future that has not been asked yet.
    pub fn new() -> Self {
        let state = Arc::new(State { task: OnceLock::new(), flags: AtomicU8::new(0) });
        Self { waker: Waker::from(Arc::clone(&state)), state }
    }

    /// Asks until there is an outcome, or nothing to do. `ask` must be of one task, always the same.
    pub fn poll<T>(&self, cx: &mut Context<'_>, mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let task = self.state.task.get_or_init(|| cx.waker().clone());
        let mut inner = Context::from_waker(&self.waker);
        for _ in 0..MAX_REPOLLS {
            // Each change is a read-modify-write, so that what a waker has written is seen by whoever runs after it.
            self.state.flags.swap(RUNNING, AcqRel);
            if let Poll::Ready(outcome) = ask(&mut inner) {
                return Poll::Ready(outcome);
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

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, AcqRel);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn a_wake_from_within_is_answered_at_once() {
        let (count, waker) = task();
        let mut left = 2;
        let outcome = RepollOnWake::new().poll(&mut Context::from_waker(&waker), |cx| {
            left -= 1;
            cx.waker().wake_by_ref();
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        assert_eq!((outcome, count.0.load(Acquire)), (Poll::Ready(()), 0));
    }

    #[test]
    fn one_that_never_rests_queues_in_between() {
        let (count, waker) = task();
        let mut asked = 0;
        let outcome: Poll<()> = RepollOnWake::new().poll(&mut Context::from_waker(&waker), |cx| {
            asked += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!((outcome, asked, count.0.load(Acquire)), (Poll::Pending, MAX_REPOLLS, 1));
    }

    #[test]
    fn a_wake_from_outside_wakes_the_task() {
        let (count, waker) = task();
        let turns = RepollOnWake::new();
        let mut kept = None;
        let outcome: Poll<()> = turns.poll(&mut Context::from_waker(&waker), |cx| {
            kept = Some(cx.waker().clone());
            Poll::Pending
        });
        assert_eq!((outcome, count.0.load(Acquire)), (Poll::Pending, 0));
        kept.unwrap().wake();
        assert_eq!(count.0.load(Acquire), 1);
    }
}
