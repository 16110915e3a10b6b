//! How fast the data of a backup is taken from the programs that read it.
//!
//! Policy: requests go first. A lower priority does not suffice for that: threads that answer requests wait for each other all the time, and the kernel lets what runs in between finish its
//! slice. So the share of the time in which these threads, those of the runtime, are busy is measured while a backup works; when it is more than [`CALM`], the backup
//! pauses, the longer the more, up to [`MAX_PAUSE`] times as long as it worked. The programs wait meanwhile, because their pipes are full. Beside few requests a backup is not
//! delayed, and it is never stopped.

use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::{Instant, sleep};

/// The work between two decisions.
const INTERVAL: Duration = Duration::from_millis(20);
/// Up to this share of busy time, there is no pause.
const CALM: f64 = 0.4;
/// The longest pause, in relation to the work before it.
const MAX_PAUSE: f64 = 3.0;

/// The pace of one backup.
pub(super) struct Pace {
    runtime: RuntimeMetrics,
    /// When the work since the last pause began, and the busy time of all threads at that moment.
    began: Instant,
    busy: Duration,
}

impl Pace {
    /// Begins work. Must be called inside the runtime that answers requests.
    pub(super) fn begin() -> Self {
        let runtime = Handle::current().metrics();
        Self { busy: busy(&runtime), began: Instant::now(), runtime }
    }

    /// Pauses, if it is time for that and the threads that answer requests are busy.
    pub(super) async fn pause(&mut self) {
        let worked = self.began.elapsed();
        if worked < INTERVAL {
            return;
        }
        let busy_time = busy(&self.runtime).saturating_sub(self.busy);
        let share = busy_time.as_secs_f64() / (worked.as_secs_f64() * self.runtime.num_workers() as f64);
        let pause = worked.mul_f64(pause_for(share));
        if !pause.is_zero() {
            sleep(pause).await;
        }
        (self.busy, self.began) = (busy(&self.runtime), Instant::now());
    }
}

/// The time for which the threads have been busy together.
fn busy(runtime: &RuntimeMetrics) -> Duration {
    (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker)).sum()
}

/// The length of a pause in relation to the work before it, by the share of busy time.
fn pause_for(share: f64) -> f64 {
    MAX_PAUSE * ((share - CALM) / (1.0 - CALM)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_begins_with_busy_threads_and_is_bounded() {
        for (share, expected) in [(0.0, 0.0), (CALM, 0.0), (0.7, MAX_PAUSE / 2.0), (1.0, MAX_PAUSE), (7.0, MAX_PAUSE)] {
            assert!((pause_for(share) - expected).abs() < 1e-9, "{share}");
        }
    }

    #[tokio::test]
    async fn the_busy_time_of_the_runtime_grows_while_its_threads_work() {
        let pace = Pace::begin();
        for _ in 0..100 {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(1) {}
            tokio::task::yield_now().await;
        }
        assert!(busy(&pace.runtime) > pace.busy);
    }
}
