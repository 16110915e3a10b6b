//! File operations of background tasks, which may block for as long as the file system does.
//!
//! Policy: a network file system that does not answer blocks its caller, and a thread that serves requests must not be that caller. Each operation
//! runs on a thread for blocking work and is waited for only so long. At most one operation of a worker runs at a time: while one hangs, further ones fail, so that
//! no number of threads can hang.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Error;

/// The time for an operation on a few files.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// Runs operations one after the other.
#[derive(Debug, Clone)]
pub struct FileWorker {
    idle: Arc<Semaphore>,
    timeout: Duration,
}

impl Default for FileWorker {
    fn default() -> Self {
        Self::with_timeout(OPERATION_TIMEOUT)
    }
}

impl FileWorker {
    /// One whose operations may take so long.
    pub(super) fn with_timeout(timeout: Duration) -> Self {
        Self { idle: Arc::new(Semaphore::new(1)), timeout }
    }

    /// Runs an operation on what is below `path`. One that is not waited for any more goes on, and its result is dropped.
    ///
    /// # Errors
    /// The error of the operation, or [`Error::FilesHang`].
    pub(super) async fn run<T: Send + 'static>(
        &self,
        path: &Path,
        operation: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let path: PathBuf = path.to_owned();
        let finished = timeout(self.timeout, async {
            let busy = Arc::clone(&self.idle).acquire_owned().await;
            let running = spawn_blocking(move || {
                // Held by the thread, also when its result is not waited for any more.
                let _busy = busy;
                operation()
            });
            running.await?
        });
        finished.await.unwrap_or_else(|_| Err(Error::FilesHang { path, seconds: self.timeout.as_secs() }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn an_operation_that_hangs_is_given_up_and_blocks_one_thread_only() {
        let worker = FileWorker::with_timeout(Duration::from_millis(50));
        let (release, hanging) = mpsc::channel::<()>();
        let first = worker.run(Path::new("/srv"), move || {
            let _ = hanging.recv();
            Ok(1)
        });
        assert!(matches!(first.await, Err(Error::FilesHang { .. })));
        // Not even started, because the first one still runs.
        let (started, is_started) = mpsc::channel();
        let second = worker.run(Path::new("/srv"), move || Ok(started.send(())));
        assert!(matches!(second.await, Err(Error::FilesHang { .. })));
        assert!(is_started.try_recv().is_err());
        drop(release);
        let patient = FileWorker { timeout: Duration::from_secs(60), ..worker };
        assert_eq!(patient.run(Path::new("/srv"), || Ok(3)).await.unwrap(), 3);
    }
}
