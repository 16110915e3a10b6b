//! The task that keeps the archive of point-in-time recovery: a step of `Work` after the other, until it is dropped.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub use super::archive_status::ArchiveStatus;
pub use super::archive_work::ArchiverOptions;
use super::archive_work::{CONNECT_TIMEOUT, Work};
use super::operator::{Operator, Server};
use super::{Error, archive_server};

/// Time between two steps.
const STEP_INTERVAL: Duration = Duration::from_millis(400);

/// How long a stop waits for the receiver.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

/// The task; it ends when this is dropped, and a base that is being made is given up. The receiver goes on until it is stopped.
#[derive(Debug)]
pub struct Archiver {
    task: JoinHandle<()>,
    status: watch::Receiver<ArchiveStatus>,
}

impl Archiver {
    /// Starts the task.
    pub fn start(options: ArchiverOptions) -> Self {
        let (sender, status) = watch::channel(ArchiveStatus::default());
        Self { task: tokio::spawn(run(options, sender)), status }
    }

    /// What is known, now and whenever it changes.
    pub fn status(&self) -> watch::Receiver<ArchiveStatus> {
        self.status.clone()
    }

    /// Waits until the receiver is connected, for a limited time and unless something is wrong: a server that was started a moment ago would otherwise stop
    /// before it, and its last WAL would not be copied.
    pub async fn prepare_stop(&self) {
        let mut status = self.status();
        let is_settled = |status: &ArchiveStatus| status.has_receiver || status.problem.is_some();
        if !matches!(timeout(ATTACH_TIMEOUT, status.wait_for(is_settled)).await, Ok(Ok(_))) {
            tracing::warn!(
                "the last WAL is copied after the next start only, because the program that copies it is not connected"
            );
        }
    }
}

impl Drop for Archiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Removes the slot of an archive that is not kept any more: for it PostgreSQL would keep WAL.
///
/// # Errors
/// When the server does not answer.
pub async fn drop_slot(operator: &Operator) -> Result<(), Error> {
    let Server::Managed(superuser) = &operator.server else { return Ok(()) };
    let client = superuser.database()?.connect(CONNECT_TIMEOUT).await?;
    archive_server::drop_slot(&client).await
}

async fn run(options: ArchiverOptions, status: watch::Sender<ArchiveStatus>) {
    let mut work = Work::new(options, status);
    loop {
        work.step_and_report().await;
        sleep(STEP_INTERVAL).await;
    }
}
