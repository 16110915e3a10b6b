//! Whether the dependencies can be used, why not, and since when.
//!
//! Policy: a check has a time limit, there is at most one at a time per dependency, and its result
//! serves every request of the next 50 ms, so that polling cannot pile up.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::storage::Storage;

/// A dependency that does not answer within this time is down.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
const RESULT_TTL: Duration = Duration::from_millis(50);

/// Why a dependency does not work, in words for an operator and without secrets.
type CheckError = Box<dyn Error + Send + Sync>;

type Check = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), CheckError>> + Send>> + Send + Sync>;

/// One dependency at the moment of its last check.
#[derive(Debug, Clone)]
pub struct Health {
    /// Whether it can be used.
    pub up: bool,
    /// When it entered this state.
    pub since: Timestamp,
    /// How long the last check took.
    pub latency: Duration,
    /// Why it is down.
    pub reason: Option<String>,
}

/// A service that the appliance uses, and its health.
pub struct Dependency {
    /// Whether the appliance runs it itself.
    pub managed: bool,
    check: Check,
    last: Mutex<Option<(Instant, Health)>>,
    /// The last result in short, to be read without a lock: microseconds since `created`, doubled, plus one if it is up.
    last_in_short: AtomicU64,
    created: Instant,
}

impl std::fmt::Debug for Dependency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dependency").field("managed", &self.managed).finish_non_exhaustive()
    }
}

impl Dependency {
    /// A dependency and how it is checked. The error's text is shown to operators: it must have no secrets.
    pub fn new<F, C, E>(managed: bool, check: F) -> Self
    where
        F: Fn() -> C + Send + Sync + 'static,
        C: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + Sync + 'static,
    {
        let check = move || -> Pin<Box<dyn Future<Output = Result<(), CheckError>> + Send>> {
            let outcome = check();
            Box::pin(async move { Ok(outcome.await?) })
        };
        Self {
            managed,
            check: Box::new(check),
            last: Mutex::new(None),
            last_in_short: AtomicU64::new(0),
            created: Instant::now(),
        }
    }

    /// Whether it works: [`Dependency::check`] without the details.
    pub async fn is_up(&self) -> bool {
        let last = self.last_in_short.load(Ordering::Relaxed);
        let age = self.created.elapsed().saturating_sub(Duration::from_micros(last >> 1));
        if last > 0 && age < RESULT_TTL { last & 1 == 1 } else { Box::pin(self.check()).await.up }
    }

    /// The state, at most 50 ms old. Returns within a second.
    pub async fn check(&self) -> Health {
        let mut last = self.last.lock().await;
        if let Some((at, health)) = last.as_ref()
            && at.elapsed() < RESULT_TTL
        {
            return health.clone();
        }
        let started = Instant::now();
        let reason = match tokio::time::timeout(CHECK_TIMEOUT, (self.check)()).await {
            Ok(outcome) => outcome.err().map(|error| error.to_string()),
            Err(_) => Some(format!("no answer within {} ms", CHECK_TIMEOUT.as_millis())),
        };
        let up = reason.is_none();
        let since = match last.as_ref() {
            Some((_, before)) if before.up == up => before.since,
            _ => Timestamp::now(),
        };
        let health = Health { up, since, latency: started.elapsed(), reason };
        let now = Instant::now();
        *last = Some((now, health.clone()));
        let micros = u64::try_from((now - self.created).as_micros()).unwrap_or_default();
        self.last_in_short.store(micros << 1 | u64::from(health.up), Ordering::Relaxed);
        health
    }
}

/// What is known about the scheduled backups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// The end of the last backup that succeeded.
    pub last_success: Option<Timestamp>,
    /// The last backup that failed.
    pub last_failure: Option<Timestamp>,
    /// Why there is no current or no proven backup.
    pub reason: Option<String>,
}

/// Asks for the report on backups.
#[derive(Clone)]
pub struct BackupHealth(Arc<dyn Fn() -> BackupReport + Send + Sync>);

impl BackupHealth {
    /// The source of the report. It must not wait.
    pub fn new(report: impl Fn() -> BackupReport + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    /// What is known now.
    pub fn report(&self) -> BackupReport {
        (self.0)()
    }
}

impl std::fmt::Debug for BackupHealth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BackupHealth").field(&self.report()).finish()
    }
}

/// The dependencies of the service.
#[derive(Debug)]
pub struct Dependencies {
    /// Without it the service is down.
    pub postgresql: Dependency,
    /// Without it reads are slower; `None` when switched off.
    pub redis: Option<Dependency>,
    /// The disk of the database, which decides on creates only.
    pub storage: Arc<Storage>,
    /// The backups; `None` without a schedule and without an archive of WAL.
    pub backup: Option<BackupHealth>,
}
