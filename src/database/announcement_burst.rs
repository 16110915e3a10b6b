//! Bursts of announcements.
//!
//! Policy: each announcement costs the writer: PostgreSQL wakes the session that listens at each commit, and that wakes this process. So after
//! [`MIN_BURST`] announcements within [`BURST_WINDOW`] the session does not listen for [`BURST_PAUSE`]. What is announced meanwhile does not arrive; the
//! listener is called at the end of the pause, because it may have missed something. The first announcement within a window after a pause begins the next one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// So many announcements within a window are a burst.
const MIN_BURST: u32 = 8;
/// The time in which they are counted.
const BURST_WINDOW: Duration = Duration::from_millis(20);
/// How long the session does not listen. A write is seen so much later at most.
pub(super) const BURST_PAUSE: Duration = Duration::from_millis(25);

/// The announcements that one session has received.
#[derive(Debug)]
pub(super) struct AnnouncementBurst {
    window: Mutex<Window>,
    begun: Notify,
}

#[derive(Debug)]
struct Window {
    began_at: Instant,
    count: u32,
}

impl AnnouncementBurst {
    /// None has been received.
    pub(super) fn new(now: Instant) -> Self {
        Self { window: Mutex::new(Window { began_at: now, count: 0 }), begun: Notify::new() }
    }

    /// Counts an announcement.
    pub(super) fn count(&self, now: Instant) {
        if self.with_window(|window| window.count(now)) {
            self.begun.notify_one();
        }
    }

    /// Waits for the begin of a burst.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Begins to count after a pause.
    pub(super) fn resume(&self, now: Instant) {
        self.with_window(|window| *window = Window { began_at: now, count: MIN_BURST - 1 });
    }

    fn with_window<T>(&self, change: impl FnOnce(&mut Window) -> T) -> T {
        // A panic cannot leave a window that would be wrong.
        change(&mut self.window.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Window {
    /// Counts an announcement; returns whether there is a burst.
    fn count(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.began_at) >= BURST_WINDOW {
            *self = Self { began_at: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count >= MIN_BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(start: Instant, window: &mut Window, interval: Duration, announcements: u32) -> Vec<bool> {
        (0..announcements).map(|number| window.count(start + interval * number)).collect()
    }

    #[test]
    fn many_announcements_within_a_window_are_a_burst_and_the_same_number_in_more_time_is_none() {
        let start = Instant::now();
        let window = || Window { began_at: start, count: 0 };
        let found = counts(start, &mut window(), Duration::from_millis(1), MIN_BURST);
        assert_eq!(found.iter().position(|is_burst| *is_burst), Some(MIN_BURST as usize - 1));
        let longer = BURST_WINDOW / (MIN_BURST - 1) + Duration::from_micros(1);
        let found = counts(start, &mut window(), longer, 100);
        assert!(!found.contains(&true), "{found:?}");
    }

    #[test]
    fn a_burst_continues_with_the_first_announcement_soon_after_a_pause() {
        let start = Instant::now();
        for (delay, expected) in [(BURST_WINDOW / 2, true), (BURST_WINDOW, false)] {
            let burst = AnnouncementBurst::new(start);
            burst.resume(start);
            assert_eq!(burst.with_window(|window| window.count(start + delay)), expected);
        }
    }
}
