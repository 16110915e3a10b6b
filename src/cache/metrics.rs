//! Where the use of a cache is counted.

use prometheus::{Histogram, IntCounter};

/// The metrics of a cache.
#[derive(Debug, Clone)]
pub struct CacheMetrics {
    /// Reads answered from the cache.
    pub hits: IntCounter,
    /// Of these, the reads answered from this process's memory.
    pub memory_hits: IntCounter,
    /// Reads for which the cache had no valid value.
    pub misses: IntCounter,
    /// Commands that failed, timed out or had an unexpected answer.
    pub errors: IntCounter,
    /// Seconds of one round trip that reads.
    pub get: Histogram,
    /// Seconds of one round trip that writes.
    pub set: Histogram,
}

#[cfg(test)]
impl CacheMetrics {
    /// Metrics that belong to no registry.
    pub(super) fn unregistered() -> Self {
        let counter = || IntCounter::new("test", "test").unwrap();
        let histogram = || Histogram::with_opts(prometheus::HistogramOpts::new("test", "test")).unwrap();
        Self {
            hits: counter(),
            memory_hits: counter(),
            misses: counter(),
            errors: counter(),
            get: histogram(),
            set: histogram(),
        }
    }
}
