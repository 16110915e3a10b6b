//! Requests that arrive together share one statement.
//!
//! Policy: no request waits for others to arrive. The first one runs at once; what arrives while statements are in progress
//! forms the next batch, together with what tasks submit that are ready to run when it is formed. At low load a batch has one request, and under load it has
//! as many as have come. Batches run in tasks of their own, so that a caller that is dropped neither harms the others nor stops a statement half-way. A lone
//! request runs in its caller's task, which spares it two changes of task; if its caller is dropped, it is moved to a task of its own ([`DetachOnDrop`]).
//!
//! Every wait ends with its caller's deadline, and the queue is bounded. A caller in the queue has no timer of its own: all callers have equal time, so those
//! before it have earlier deadlines, a batch ends by the earliest one of its requests, and what has waited too long is not run any more.
//! A request that has little time left must not shorten that of later ones: a request with more than one and a half times as much is left for another batch.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// Requests that may wait; further ones are rejected.
const MAX_QUEUED: usize = 16_384;
/// How often a worker lets other tasks run before it forms a batch.
const MAX_YIELDS: usize = 4;
/// Requests of one batch.
const MAX_BATCH: usize = 128;

/// An operation that can serve several requests with one statement.
pub trait BatchOperation: Send + Sync + 'static {
    /// What one caller asks for.
    type Request: Send + 'static;
    /// What it gets.
    type Response: Send + 'static;
    /// Why it does not get it.
    type Error: From<BatchError> + Send + 'static;

    /// Serves all requests. The results are in the order of the requests. It must end by the deadline, with an error if need be: other requests wait
    /// for that.
    fn run(
        &self,
        requests: Vec<Self::Request>,
        deadline: Instant,
    ) -> impl Future<Output = Vec<Result<Self::Response, Self::Error>>> + Send;
}

/// Why a request has no result although its operation did not fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The deadline has passed. The statement may still be in progress.
    #[error("no answer in time")]
    Timeout,
    /// The operation panicked or returned too few results.
    #[error("the statement was given up")]
    Abandoned,
    /// Too many requests wait already.
    #[error("{MAX_QUEUED} requests are waiting for the database already")]
    QueueFull,
}

/// Forms batches and runs an operation on them.
#[derive(Debug)]
pub struct Batcher<O: BatchOperation> {
    inner: Arc<Inner<O>>,
}

#[derive(Debug)]
struct Inner<O: BatchOperation> {
    operation: O,
    max_workers: usize,
    state: Mutex<State<O>>,
}

struct State<O: BatchOperation> {
    queue: VecDeque<QueuedRequest<O>>,
    workers: usize,
    /// Whether the latest batch had more than one request: then the next one is likely to be batched as well, and goes
    /// through the queue.
    last_was_batched: bool,
}

struct QueuedRequest<O: BatchOperation> {
    request: O::Request,
    deadline: Instant,
    reply: oneshot::Sender<Result<O::Response, O::Error>>,
}

impl<O: BatchOperation> std::fmt::Debug for State<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("queue", &self.queue.len())
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl<O: BatchOperation> Batcher<O> {
    /// A batcher that runs at most `max_workers` batches at the same time.
    pub fn new(operation: O, max_workers: usize) -> Self {
        let state = Mutex::new(State { queue: VecDeque::new(), workers: 0, last_was_batched: false });
        Self { inner: Arc::new(Inner { operation, max_workers, state }) }
    }

    /// Runs a request, alone or in a batch, and returns its result. The deadline must not be earlier than that of a request that was submitted before.
    ///
    /// # Errors
    /// The operation's, or a [`BatchError`]; after [`BatchError::Timeout`] the statement may still be in progress.
    pub async fn submit(&self, request: O::Request, deadline: Instant) -> Result<O::Response, O::Error> {
        match self.admit(request, deadline)? {
            Admission::Alone(worker, request) => {
                let results = DetachOnDrop::new(worker.run_one(request, deadline));
                results.await.pop().unwrap_or_else(|| Err(BatchError::Abandoned.into()))
            }
            Admission::Queued(reply) => match reply.await {
                Ok(result) => result,
                Err(_) if deadline <= Instant::now() => Err(BatchError::Timeout.into()),
                Err(_) => Err(BatchError::Abandoned.into()),
            },
        }
    }

    fn admit(&self, request: O::Request, deadline: Instant) -> Result<Admission<O>, BatchError> {
        let mut state = self.inner.state();
        if state.is_idle() {
            state.workers += 1;
            return Ok(Admission::Alone(BatchWorker::new(&self.inner), request));
        }
        if state.queue.len() >= MAX_QUEUED {
            return Err(BatchError::QueueFull);
        }
        let (sender, receiver) = oneshot::channel();
        state.queue.push_back(QueuedRequest { request, deadline, reply: sender });
        let starts_worker = state.workers < self.inner.max_workers;
        state.workers += usize::from(starts_worker);
        drop(state);
        if starts_worker {
            tokio::spawn(BatchWorker::new(&self.inner).run());
        }
        Ok(Admission::Queued(receiver))
    }
}

/// How a request is run.
enum Admission<O: BatchOperation> {
    /// In a batch of its own, by its caller.
    Alone(BatchWorker<O>, O::Request),
    /// In a batch, by a worker's task.
    Queued(oneshot::Receiver<Result<O::Response, O::Error>>),
}

impl<O: BatchOperation> State<O> {
    /// Whether a request that comes now is likely to remain alone.
    fn is_idle(&self) -> bool {
        self.workers == 0 && self.queue.is_empty() && !self.last_was_batched
    }
}

impl<O: BatchOperation> Inner<O> {
    fn state(&self) -> MutexGuard<'_, State<O>> {
        // Requests are moved in and out whole: a panic leaves none half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch, without the requests whose callers have gone or whose deadlines have passed, and those that have much more time than its first.
    fn take_batch(&self) -> Vec<QueuedRequest<O>> {
        let now = Instant::now();
        let mut state = self.state();
        let mut batch = Vec::with_capacity(state.queue.len().min(MAX_BATCH));
        let mut most_time = Duration::MAX;
        while batch.len() < MAX_BATCH
            && let Some(time) = state.queue.front().map(|queued| queued.deadline.duration_since(now))
            && time <= most_time
            && let Some(queued) = state.queue.pop_front()
        {
            if queued.reply.is_closed() || time.is_zero() {
                continue;
            }
            if batch.is_empty() {
                most_time = time + time / 2;
            }
            batch.push(queued);
        }
        if !batch.is_empty() {
            state.last_was_batched = batch.len() > 1;
        }
        batch
    }
}

/// Runs batches until the queue is empty. While it exists, it is counted in [`State::workers`].
struct BatchWorker<O: BatchOperation> {
    inner: Arc<Inner<O>>,
    /// Whether it came to the end of its work; otherwise it panicked, or the runtime is shutting down.
    is_done: bool,
}

impl<O: BatchOperation> BatchWorker<O> {
    fn new(inner: &Arc<Inner<O>>) -> Self {
        Self { inner: Arc::clone(inner), is_done: false }
    }

    async fn run_one(mut self, request: O::Request, deadline: Instant) -> Vec<Result<O::Response, O::Error>> {
        let results = self.inner.operation.run(vec![request], deadline).await;
        self.is_done = true;
        results
    }

    /// Lets tasks run that are ready, until they submit no further requests: callers of the batch before this one, whose clients may already have sent
    /// their next requests, and new ones. While the processors have other work, larger batches cost less; while they have none, this takes no time.
    async fn let_others_submit(&self) {
        let mut queued = 0;
        for _ in 0..MAX_YIELDS {
            tokio::task::yield_now().await;
            let now_queued = self.inner.state().queue.len();
            if now_queued <= queued {
                break;
            }
            queued = now_queued;
        }
    }

    async fn run(mut self) {
        loop {
            self.let_others_submit().await;
            let batch = self.inner.take_batch();
            let Some(deadline) = batch.iter().map(|queued| queued.deadline).min() else {
                self.is_done = true;
                return;
            };
            let (requests, replies): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|queued| (queued.request, queued.reply)).unzip();
            let results = self.inner.operation.run(requests, deadline).await;
            for (reply, result) in replies.into_iter().zip(results) {
                // The caller may have gone.
                let _ = reply.send(result);
            }
        }
    }
}

/// A worker that ends, also by a panic, is no longer counted. If requests were queued after it had looked at the queue, another
/// worker takes its place; not so while the runtime shuts down, which would drop that one at once.
impl<O: BatchOperation> Drop for BatchWorker<O> {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        let may_be_replaced = self.is_done || std::thread::panicking();
        if state.queue.is_empty() || !may_be_replaced || tokio::runtime::Handle::try_current().is_err() {
            state.workers -= 1;
        } else {
            drop(state);
            tokio::spawn(Self::new(&self.inner).run());
        }
    }
}

/// A future that is completed even if it is dropped: it is then moved to a task of its own.
pub struct DetachOnDrop<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T: Send + 'static> DetachOnDrop<T> {
    /// Wraps a future.
    pub fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(future)))
    }
}

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

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;
    use tokio::time::timeout_at;

    use super::*;

    /// Records the batches it is given; each one needs a permit to be completed, and fails without one at its deadline.
    #[derive(Default)]
    struct Recorder {
        batches: Mutex<Vec<Vec<u32>>>,
        permits: Option<Semaphore>,
    }

    const PANICS: u32 = 99;

    impl BatchOperation for Arc<Recorder> {
        type Request = u32;
        type Response = u32;
        type Error = BatchError;

        async fn run(&self, requests: Vec<u32>, deadline: Instant) -> Vec<Result<u32, BatchError>> {
            self.batches.lock().unwrap().push(requests.clone());
            if let Some(permits) = &self.permits {
                match timeout_at(deadline, permits.acquire()).await {
                    Ok(permit) => permit.unwrap().forget(),
                    Err(_) => return requests.iter().map(|_| Err(BatchError::Timeout)).collect(),
                }
            }
            assert!(!requests.contains(&PANICS), "the operation panics");
            requests.into_iter().map(|request| Ok(request * 10)).collect()
        }
    }

    fn recorder() -> Arc<Recorder> {
        Arc::new(Recorder { permits: Some(Semaphore::new(0)), ..Recorder::default() })
    }

    fn batcher(recorder: &Arc<Recorder>) -> Arc<Batcher<Arc<Recorder>>> {
        Arc::new(Batcher::new(Arc::clone(recorder), 1))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    type Submitted = tokio::task::JoinHandle<Result<u32, BatchError>>;

    fn submit(batcher: &Arc<Batcher<Arc<Recorder>>>, request: u32) -> Submitted {
        submit_until(batcher, request, soon())
    }

    fn submit_until(batcher: &Arc<Batcher<Arc<Recorder>>>, request: u32, deadline: Instant) -> Submitted {
        let batcher = Arc::clone(batcher);
        tokio::spawn(async move { batcher.submit(request, deadline).await })
    }

    async fn settle() {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }

    fn allow(recorder: &Recorder, batches: usize) {
        recorder.permits.as_ref().unwrap().add_permits(batches);
    }

    #[tokio::test]
    async fn requests_that_arrive_during_a_statement_share_the_next_one() {
        let recorder = recorder();
        let batcher = batcher(&recorder);
        let first = submit(&batcher, 1);
        settle().await;
        let others = [2, 3, 4].map(|request| submit(&batcher, request));
        settle().await;
        allow(&recorder, 2);
        assert_eq!(first.await.unwrap(), Ok(10));
        for (other, expected) in others.into_iter().zip([20, 30, 40]) {
            assert_eq!(other.await.unwrap(), Ok(expected));
        }
        assert_eq!(*recorder.batches.lock().unwrap(), [vec![1], vec![2, 3, 4]]);
    }

    #[tokio::test]
    async fn a_statement_whose_caller_is_dropped_is_completed() {
        let recorder = recorder();
        let batcher = batcher(&recorder);
        let caller = submit(&batcher, 1);
        settle().await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        let next = submit(&batcher, 2);
        settle().await;
        assert_eq!(recorder.batches.lock().unwrap().len(), 1, "the first statement still runs");
        allow(&recorder, 2);
        assert_eq!(next.await.unwrap(), Ok(20));
    }

    #[tokio::test]
    async fn a_caller_that_has_gone_is_not_part_of_the_next_batch() {
        let recorder = recorder();
        let batcher = batcher(&recorder);
        let first = submit(&batcher, 1);
        settle().await;
        let (gone, stays) = (submit(&batcher, 2), submit(&batcher, 3));
        settle().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        allow(&recorder, 2);
        assert_eq!((first.await.unwrap(), stays.await.unwrap()), (Ok(10), Ok(30)));
        assert_eq!(*recorder.batches.lock().unwrap(), [vec![1], vec![3]]);
    }

    #[tokio::test]
    async fn a_panic_ends_its_batch_only() {
        let recorder = recorder();
        let batcher = batcher(&recorder);
        let first = submit(&batcher, 1);
        settle().await;
        let panics = submit(&batcher, PANICS);
        settle().await;
        allow(&recorder, 2);
        assert_eq!(first.await.unwrap(), Ok(10));
        assert_eq!(panics.await.unwrap(), Err(BatchError::Abandoned));
        let later = submit(&batcher, 2);
        settle().await;
        allow(&recorder, 1);
        assert_eq!(later.await.unwrap(), Ok(20));
    }

    #[tokio::test]
    async fn a_request_that_waits_past_its_deadline_is_not_run() {
        let recorder = recorder();
        let batcher = batcher(&recorder);
        let first = submit(&batcher, 1);
        settle().await;
        let late = submit_until(&batcher, 2, Instant::now() + Duration::from_millis(1));
        tokio::time::sleep(Duration::from_millis(2)).await;
        allow(&recorder, 2);
        assert_eq!(first.await.unwrap(), Ok(10));
        assert_eq!(late.await.unwrap(), Err(BatchError::Timeout));
        assert_eq!(*recorder.batches.lock().unwrap(), [vec![1]]);
    }

    #[tokio::test]
    async fn a_request_with_little_time_left_takes_none_from_later_ones() {
        let recorder = recorder();
        let batcher = batcher(&recorder);
        let first = submit(&batcher, 1);
        settle().await;
        let hurried = submit_until(&batcher, 2, Instant::now() + Duration::from_secs(20));
        settle().await;
        let others = [3, 4].map(|request| submit(&batcher, request));
        settle().await;
        allow(&recorder, 3);
        for (request, expected) in [first, hurried].into_iter().chain(others).zip([10, 20, 30, 40]) {
            assert_eq!(request.await.unwrap(), Ok(expected));
        }
        assert_eq!(*recorder.batches.lock().unwrap(), [vec![1], vec![2], vec![3, 4]]);
    }

    #[tokio::test]
    async fn every_request_times_out_if_no_statement_ends_before_its_deadline() {
        let recorder = recorder();
        let batcher = batcher(&recorder);
        let mut submitted = Vec::new();
        for request in 0..50 {
            submitted.push(submit_until(&batcher, request, Instant::now() + Duration::from_millis(20)));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for result in submitted {
            let result = timeout_at(soon(), result).await;
            assert_eq!(result.expect("the wait ends").unwrap(), Err(BatchError::Timeout));
        }
    }

    #[test]
    fn a_runtime_that_shuts_down_while_requests_are_queued_drops_them() {
        let recorder = recorder();
        let batcher = batcher(&recorder);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let first = submit(&batcher, 1);
            settle().await;
            let _queued = submit(&batcher, 2);
            settle().await;
            allow(&recorder, 1);
            assert_eq!(first.await.unwrap(), Ok(10));
        });
        drop(runtime);
        let state = batcher.inner.state();
        assert_eq!(state.workers, 0);
        assert!(state.queue.iter().all(|queued| queued.reply.is_closed()));
    }

    #[tokio::test]
    async fn a_full_queue_rejects_requests() {
        let recorder = recorder();
        let batcher = batcher(&recorder);
        let first = submit(&batcher, 1);
        settle().await;
        let queued: Vec<_> = (0..MAX_QUEUED as u32).map(|_| submit(&batcher, 2)).collect();
        while batcher.inner.state().queue.len() < MAX_QUEUED {
            tokio::task::yield_now().await;
        }
        assert_eq!(batcher.submit(3, soon()).await, Err(BatchError::QueueFull));
        allow(&recorder, 1 + MAX_QUEUED / MAX_BATCH);
        assert_eq!(first.await.unwrap(), Ok(10));
        for request in queued {
            assert_eq!(request.await.unwrap(), Ok(20));
        }
        assert_eq!(recorder.batches.lock().unwrap().len(), 1 + MAX_QUEUED / MAX_BATCH);
    }
}
