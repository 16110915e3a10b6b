//! What is dear to ask for is asked once in a while.
//!
//! Policy: for metrics that are read from files of the kernel, on the thread that answers requests too. Whoever asks within a
//! tenth of a second is told the same.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

/// How long an answer is good for.
const PROCESS_METRICS_TTL: Duration = Duration::from_millis(100);

/// Another collector, asked ten times a second at the most.
pub struct CachedCollector<C> {
    of: C,
    last: Mutex<Option<(Instant, Vec<MetricFamily>)>>,
}

impl<C: Collector> CachedCollector<C> {
    /// Of this one.
    pub fn new(of: C) -> Self {
        Self { of, last: Mutex::new(None) }
    }
}

impl<C: Collector> Collector for CachedCollector<C> {
    fn desc(&self) -> Vec<&Desc> {
        self.of.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Replaced whole: a panic leaves none half-changed.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, answer)) = &*last
            && asked.elapsed() < PROCESS_METRICS_TTL
        {
            return answer.clone();
        }
        let answer = self.of.collect();
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use prometheus::IntCounter;

    use super::*;

    #[test]
    fn it_is_asked_again_after_a_while() {
        let counter = IntCounter::new("a", "b").unwrap();
        let recent = CachedCollector::new(counter.clone());
        let value = || recent.collect()[0].get_metric()[0].get_counter().get_value() as u64;
        assert_eq!(value(), 0);
        counter.inc();
        if recent.last.lock().unwrap().as_ref().unwrap().0.elapsed() < PROCESS_METRICS_TTL / 2 {
            assert_eq!(value(), 0);
        }
        std::thread::sleep(PROCESS_METRICS_TTL);
        assert_eq!(value(), 1);
    }
}
