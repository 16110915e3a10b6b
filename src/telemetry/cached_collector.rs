//! Caches an expensive collector for 100 ms.
//!
//! Policy: for metrics that are read from files of the kernel, on a thread that also answers requests. Scrapes that follow each
//! other within the time to live get a copy of one reading.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

/// How long one reading is used.
const PROCESS_METRICS_TTL: Duration = Duration::from_millis(100);

/// A collector that reads another one at most ten times a second.
pub struct CachedCollector<C> {
    inner: C,
    /// When the last reading was taken, and the reading.
    last: Mutex<Option<(Instant, Vec<MetricFamily>)>>,
}

impl<C: Collector> CachedCollector<C> {
    /// Nothing is read before the first scrape.
    pub fn new(inner: C) -> Self {
        Self { inner, last: Mutex::new(None) }
    }
}

impl<C: Collector> Collector for CachedCollector<C> {
    fn desc(&self) -> Vec<&Desc> {
        self.inner.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // The value is only ever replaced as a whole, so a panic cannot leave a part of one.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((taken_at, reading)) = &*last
            && taken_at.elapsed() < PROCESS_METRICS_TTL
        {
            return reading.clone();
        }
        let reading = self.inner.collect();
        *last = Some((Instant::now(), reading.clone()));
        reading
    }
}

#[cfg(test)]
mod tests {
    use prometheus::IntCounter;

    use super::*;

    #[test]
    fn a_reading_is_repeated_until_its_time_to_live_ends() {
        let counter = IntCounter::new("a", "b").unwrap();
        let cached = CachedCollector::new(counter.clone());
        let value = || cached.collect()[0].get_metric()[0].get_counter().get_value() as u64;
        assert_eq!(value(), 0);
        counter.inc();
        if cached.last.lock().unwrap().as_ref().unwrap().0.elapsed() < PROCESS_METRICS_TTL / 2 {
            assert_eq!(value(), 0);
        }
        std::thread::sleep(PROCESS_METRICS_TTL);
        assert_eq!(value(), 1);
    }
}
