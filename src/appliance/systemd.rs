//! Notifications to the service manager (`sd_notify`). Without a service manager they do nothing.
//!
//! Policy: no notification is ever waited for (`notify_socket`). A long step repeatedly extends systemd's time-out while it runs, but not beyond its own bound.
//! systemd's watchdog counts from READY on; `watchdog.rs` feeds it while serving, and the current step feeds it while stopping.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, interval};

use super::notify_socket::{self, Delivery};

/// How often a long step extends the time-out, unless the watchdog must be fed more often.
const EXTENSION_INTERVAL: Duration = Duration::from_secs(2);
/// How far each extension reaches: a machine under load may send the next one late.
const EXTENSION_GRACE: Duration = Duration::from_secs(30);

/// Reports that the appliance serves requests.
pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)], Delivery::Once);
}

/// Reports that the configuration is being reloaded.
pub(super) fn reloading() {
    notify(&[NotifyState::Reloading, NotifyState::Status("reading the configuration again")], Delivery::Once);
}

/// Reports that the appliance has begun to stop.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("finishing the requests in flight")], Delivery::Once);
}

/// Feeds the watchdog.
pub(super) fn feed_watchdog() {
    notify(&[NotifyState::Watchdog], Delivery::Repeated);
}

/// The interval within which the watchdog must be fed; none if the service manager has no watchdog for this process.
pub(super) fn watchdog_timeout() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Runs one step: shows its name in `systemctl status` and extends the time-out while it runs, up to `bound`.
pub(super) async fn with_extended_timeout<F: Future>(step: &str, bound: Duration, work: F) -> F::Output {
    notify(&[NotifyState::Status(step)], Delivery::Once);
    let mut work = pin!(work);
    let mut renewal =
        interval(watchdog_timeout().map_or(EXTENSION_INTERVAL, |limit| EXTENSION_INTERVAL.min(limit / 2)));
    let started = Instant::now();
    loop {
        let left = bound.saturating_sub(started.elapsed());
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            _ = renewal.tick(), if !left.is_zero() => {
                let micros = u32::try_from(left.min(EXTENSION_GRACE).as_micros()).unwrap_or(u32::MAX);
                notify(&[NotifyState::ExtendTimeoutUsec(micros), NotifyState::Watchdog], Delivery::Repeated);
            }
        }
    }
}

fn notify(states: &[NotifyState<'_>], delivery: Delivery) {
    let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
    notify_socket::send(lines, delivery);
}
