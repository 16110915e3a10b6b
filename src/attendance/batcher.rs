//! Questions that arrive together share a statement.
//!
//! Policy: nobody waits for company. The first question runs at once; what arrives while statements are under way is the
//! next one. So at low load a statement asks one thing, and under load as much as has come. Statements run in tasks of their own,
//! a lone one in its caller's to spare it the way there and back: a caller that goes away takes nothing from the others and
//! undoes nothing half-way. Every wait ends with its caller's deadline, and what may wait is bounded.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

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
    type Request: Send + 'static;
    /// What it is told.
    type Answer: Send + 'static;

    /// Answers all, in their order, by the deadline.
    fn run(
        &self,
        questions: Vec<Self::Request>,
        deadline: Instant,
    ) -> impl Future<Output = Vec<Result<Self::Answer, Error>>> + Send;
}

/// Where questions meet.
#[derive(Debug)]
pub(super) struct Batcher<S: Statement> {
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
    /// Whether the latest statement answered more than one.
    company: bool,
}

struct Entry<S: Statement> {
    question: S::Request,
    deadline: Instant,
    answer: oneshot::Sender<Result<S::Answer, Error>>,
}

impl<S: Statement> std::fmt::Debug for State<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("waiting", &self.waiting.len()).field("running", &self.running).finish()
    }
}

impl<S: Statement> Batcher<S> {
    /// A gatherer whose statements run side by side in at most `lanes`.
    pub(super) fn new(statement: S, lanes: usize) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), running: 0, company: false });
        Self { inner: Arc::new(Inner { statement, lanes, state }) }
    }

    /// The answer to a question, by the deadline. After [`Error::Unavailable`] its statement may still be under way.
    pub(super) async fn ask(&self, question: S::Request, deadline: Instant) -> Result<S::Answer, Error> {
        match self.admit(question, deadline)? {
            Admitted::Alone(lane, question) => {
                let answers = DetachOnDrop(Some(Box::pin(lane.serve_one(question, deadline))));
                answers.await.pop().unwrap_or_else(given_up)
            }
            Admitted::Together(answer) => match timeout_at(deadline, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => given_up(),
                Err(_) => Err(Error::Unavailable("no answer in time".to_owned())),
            },
        }
    }

    fn admit(&self, question: S::Request, deadline: Instant) -> Result<Admitted<S>, Error> {
        let mut state = self.inner.state();
        if state.is_quiet() {
            state.running += 1;
            return Ok(Admitted::Alone(BatchWorker(Arc::clone(&self.inner)), question));
        }
        if state.waiting.len() >= MOST_WAITING {
            return Err(Error::Unavailable(format!("{MOST_WAITING} requests are waiting for the database already")));
        }
        let (sender, answer) = oneshot::channel();
        state.waiting.push_back(Entry { question, deadline, answer: sender });
        let starts = state.running < self.inner.lanes;
        state.running += usize::from(starts);
        drop(state);
        if starts {
            tokio::spawn(BatchWorker(Arc::clone(&self.inner)).serve());
        }
        Ok(Admitted::Together(answer))
    }
}

/// How a question is asked.
enum Admitted<S: Statement> {
    /// In a statement of its own, by its caller.
    Alone(BatchWorker<S>, S::Request),
    /// With others.
    Together(oneshot::Receiver<Result<S::Answer, Error>>),
}

fn given_up<T>() -> Result<T, Error> {
    Err(Error::Unavailable("the statement was given up".to_owned()))
}

impl<S: Statement> State<S> {
    /// Whether whoever asks now is likely to stay alone.
    fn is_quiet(&self) -> bool {
        self.running == 0 && self.waiting.is_empty() && !self.company
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
        if !taken.is_empty() {
            state.company = taken.len() > 1;
        }
        taken
    }
}

/// One task that runs statements until nothing waits.
struct BatchWorker<S: Statement>(Arc<Inner<S>>);

impl<S: Statement> BatchWorker<S> {
    async fn serve_one(self, question: S::Request, deadline: Instant) -> Vec<Result<S::Answer, Error>> {
        self.0.statement.run(vec![question], deadline).await
    }

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
impl<S: Statement> Drop for BatchWorker<S> {
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

/// A future that comes to its end even if it is dropped: then in a task of its own.
struct DetachOnDrop<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T: Send + 'static> Future for DetachOnDrop<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(future) = &mut self.0 else { return Poll::Pending };
        let outcome = future.as_mut().poll(cx);
        if outcome.is_ready() {
            self.0 = None;
        }
        outcome
    }
}

impl<T: Send + 'static> Drop for DetachOnDrop<T> {
    fn drop(&mut self) {
        if let Some(future) = self.0.take()
            && tokio::runtime::Handle::try_current().is_ok()
            && !std::thread::panicking()
        {
            tokio::spawn(future);
        }
    }
}
