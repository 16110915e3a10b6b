//! What the service manager is told. Without one, nothing happens.
//!
//! Policy: a step that takes long asks for more time again and again, as long as it really goes on and not beyond its own
//! time-out. systemd's watchdog counts from READY on; it is fed by `watchdog.rs` while serving, and by the step at
//! hand while stopping.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, interval};

/// How often a long step asks for more time, unless the watchdog needs to hear more often.
const RENEWAL: Duration = Duration::from_secs(2);
/// How much it asks for each time: a loaded machine may be late with the next.
const EXTENSION: Duration = Duration::from_secs(30);

/// The appliance serves.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    tell(&[NotifyState::Reloading, NotifyState::Status("reading the configuration again")]);
}

/// The appliance has begun to stop.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing the requests in flight")]);
}

/// The appliance's runtime works.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the service manager wants to hear of us at least; none if it does not watch.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Does one step: names it for `systemctl status`, and asks for time while it goes on, `bound` at the most.
pub(super) async fn with_extended_timeout<F: Future>(step: &str, bound: Duration, work: F) -> F::Output {
    tell(&[NotifyState::Status(step)]);
    let mut work = pin!(work);
    let mut renewal = interval(watchdog().map_or(RENEWAL, |limit| RENEWAL.min(limit / 2)));
    let begun = Instant::now();
    loop {
        let left = bound.saturating_sub(begun.elapsed());
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            _ = renewal.tick(), if !left.is_zero() => {
                let asked = u32::try_from(left.min(EXTENSION).as_micros()).unwrap_or(u32::MAX);
                tell(&[NotifyState::ExtendTimeoutUsec(asked), NotifyState::Watchdog]);
            }
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
