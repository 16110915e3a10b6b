//! Whether the dependencies can be used, why not, and since when.
//!
//! Policy: a check is bounded (1 s), there is never more than one at a time per dependency, and its
//! result serves everybody who asks within the next 50 ms: polling cannot pile up.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Mutex;

/// A check takes at most this long.
const BOUND: Duration = Duration::from_secs(1);
/// A result is used for this long.
const FRESH: Duration = Duration::from_millis(50);

type Probe = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// One dependency at the moment of its last check.
#[derive(Debug, Clone)]
pub struct Health {
    /// Usable.
    pub up: bool,
    /// When it entered this state.
    pub since: Timestamp,
    /// How long the last check took.
    pub latency: Duration,
    /// Why it is down.
    pub reason: Option<String>,
}

/// Something the appliance needs, and how to see whether it works.
pub struct Dependency {
    /// Whether the appliance runs it itself.
    pub managed: bool,
    probe: Probe,
    last: Mutex<Option<(Instant, Health)>>,
    /// The last verdict for who asks for no more: microseconds since `made`, doubled, plus one if it is up.
    verdict: AtomicU64,
    made: Instant,
}

impl std::fmt::Debug for Dependency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dependency").field("managed", &self.managed).finish_non_exhaustive()
    }
}

impl Dependency {
    /// A dependency with the check that tells whether it works, or why not (for a person, without secrets).
    pub fn new<F, C>(managed: bool, probe: F) -> Self
    where
        F: Fn() -> C + Send + Sync + 'static,
        C: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self {
            managed,
            probe: Box::new(move || Box::pin(probe())),
            last: Mutex::new(None),
            verdict: AtomicU64::new(0),
            made: Instant::now(),
        }
    }

    /// Whether it works: [`Dependency::check`] without the rest of it.
    pub async fn is_up(&self) -> bool {
        let verdict = self.verdict.load(Ordering::Relaxed);
        let age = self.made.elapsed().saturating_sub(Duration::from_micros(verdict >> 1));
        if verdict > 0 && age < FRESH { verdict & 1 == 1 } else { Box::pin(self.check()).await.up }
    }

    /// The state now, at most 50 ms old, within 1 s.
    pub async fn check(&self) -> Health {
        let mut last = self.last.lock().await;
        if let Some((at, health)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return health.clone();
        }
        let started = Instant::now();
        let outcome = match tokio::time::timeout(BOUND, (self.probe)()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {} ms", BOUND.as_millis())),
        };
        let since = match last.as_ref() {
            Some((_, before)) if before.up == outcome.is_ok() => before.since,
            _ => Timestamp::now(),
        };
        let health = Health { up: outcome.is_ok(), since, latency: started.elapsed(), reason: outcome.err() };
        let now = Instant::now();
        *last = Some((now, health.clone()));
        let micros = u64::try_from((now - self.made).as_micros()).unwrap_or_default();
        self.verdict.store(micros << 1 | u64::from(health.up), Ordering::Relaxed);
        health
    }
}

/// The dependencies of the service.
#[derive(Debug)]
pub struct Dependencies {
    /// Without it the service is down.
    pub postgresql: Dependency,
    /// Without it reads are slower; `None` when switched off.
    pub redis: Option<Dependency>,
}
