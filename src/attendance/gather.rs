//! Questions that arrive together share a statement.
//!
//! Policy: nobody waits for company. The first question runs at once; what arrives while statements are under way is the
//! next one. So at low load a statement asks one thing, and under load as much as has come. Statements run in tasks of their own:
//! a caller that goes away takes nothing from the others and undoes nothing half-way. Every wait ends with its caller's deadline,
//! and what may wait is bounded.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::service::Error;

/// Questions that may wait; more are refused.
const MOST_WAITING: usize = 16_384;
/// Questions one statement asks at the most.
const MOST_TOGETHER: usize = 128;

/// What answers several questions with one statement.
pub(super) trait Statement: Send + Sync + 'static {
    /// What one caller asks.
    type Question: Send + 'static;
    /// What it is told.
    type Answer: Send + 'static;

    /// Answers all, in their order, by the deadline.
    fn run(
        &self,
        questions: Vec<Self::Question>,
        deadline: Instant,
    ) -> impl Future<Output = Vec<Result<Self::Answer, Error>>> + Send;
}

/// Where questions meet.
#[derive(Debug)]
pub(super) struct Gatherer<S: Statement> {
    inner: Arc<Inner<S>>,
}

#[derive(Debug)]
struct Inner<S: Statement> {
    statement: S,
    /// Statements that may be under way at the same time.
    lanes: usize,
    state: Mutex<State<S>>,
}

struct State<S: Statement> {
    waiting: VecDeque<Entry<S>>,
    running: usize,
}

struct Entry<S: Statement> {
    question: S::Question,
    deadline: Instant,
    answer: oneshot::Sender<Result<S::Answer, Error>>,
}

impl<S: Statement> std::fmt::Debug for State<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("waiting", &self.waiting.len()).field("running", &self.running).finish()
    }
}

impl<S: Statement> Gatherer<S> {
    /// A gatherer whose statements run side by side in at most `lanes`.
    pub(super) fn new(statement: S, lanes: usize) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), running: 0 });
        Self { inner: Arc::new(Inner { statement, lanes, state }) }
    }

    /// The answer to a question, by the deadline. After [`Error::Unavailable`] its statement may still be under way.
    pub(super) async fn ask(&self, question: S::Question, deadline: Instant) -> Result<S::Answer, Error> {
        let (sender, answer) = oneshot::channel();
        let starts = {
            let mut state = self.inner.state();
            if state.waiting.len() >= MOST_WAITING {
                return Err(Error::Unavailable(format!(
                    "{MOST_WAITING} requests are waiting for the database already"
                )));
            }
            state.waiting.push_back(Entry { question, deadline, answer: sender });
            let starts = state.running < self.inner.lanes;
            state.running += usize::from(starts);
            starts
        };
        if starts {
            tokio::spawn(Lane(Arc::clone(&self.inner)).serve());
        }
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Unavailable("the statement was given up".to_owned())),
            Err(_) => Err(Error::Unavailable("no answer in time".to_owned())),
        }
    }
}

impl<S: Statement> Inner<S> {
    fn state(&self) -> MutexGuard<'_, State<S>> {
        // Entries are moved in and out whole: a panic leaves none half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next statement asks: not what nobody waits for any more.
    fn take(&self) -> Vec<Entry<S>> {
        let now = Instant::now();
        let mut state = self.state();
        let mut taken = Vec::with_capacity(state.waiting.len().min(MOST_TOGETHER));
        while taken.len() < MOST_TOGETHER
            && let Some(entry) = state.waiting.pop_front()
        {
            if !entry.answer.is_closed() && entry.deadline > now {
                taken.push(entry);
            }
        }
        taken
    }
}

/// One task that runs statements until nothing waits.
struct Lane<S: Statement>(Arc<Inner<S>>);

impl<S: Statement> Lane<S> {
    async fn serve(self) {
        // Whoever is ready to ask now comes along.
        tokio::task::yield_now().await;
        loop {
            let batch = self.0.take();
            let Some(deadline) = batch.iter().map(|entry| entry.deadline).max() else { return };
            let (questions, askers): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|entry| (entry.question, entry.answer)).unzip();
            let answers = self.0.statement.run(questions, deadline).await;
            for (asker, answer) in askers.into_iter().zip(answers) {
                // One that has gone does not need it.
                let _ = asker.send(answer);
            }
        }
    }
}

/// Also a lane that ends by a panic is counted out; what has come since it looked gets another one.
impl<S: Statement> Drop for Lane<S> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.waiting.is_empty() || tokio::runtime::Handle::try_current().is_err() {
            state.running -= 1;
        } else {
            drop(state);
            tokio::spawn(Self(Arc::clone(&self.0)).serve());
        }
    }
}
