//! Makes metrics and registers them, one call for each declaration.
//!
//! Policy: a metric with labels has a series for each combination of values that was used. One with an empty list of labels has no series until it is
//! set, which is how a metric is absent where it does not apply.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// The metrics of the process as Prometheus reads them.
///
/// # Errors
/// Each method that declares a metric fails if its name or a label is not valid, or if the name is registered already.
#[derive(Debug, Default)]
pub(super) struct MetricRegistry(Registry);

impl MetricRegistry {
    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::new(name, help)?)
    }

    pub(super) fn counter_by(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    pub(super) fn gauge_by(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn float_gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.register(Gauge::new(name, help)?)
    }

    pub(super) fn float_gauge_by(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, prometheus::Error> {
        self.register(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// `buckets` are the upper bounds of the buckets, in ascending order.
    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    /// `buckets` are the upper bounds of the buckets, in ascending order.
    pub(super) fn histogram_by(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }

    /// Registers a collector that is made elsewhere, and returns it.
    pub(super) fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.add(collector.clone())?;
        Ok(collector)
    }

    /// Registers a collector that only a scrape reads.
    pub(super) fn add(&self, collector: impl Collector + 'static) -> Result<(), prometheus::Error> {
        self.0.register(Box::new(collector))
    }

    /// The current values of all metrics.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.0.gather()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_with_an_empty_list_of_labels_has_no_series_until_it_is_set() {
        let registry = MetricRegistry::default();
        let gauge = registry.gauge_by("a", "help", &[]).unwrap();
        assert!(registry.gather().is_empty());
        gauge.with_label_values::<&str>(&[]).set(1);
        assert_eq!(registry.gather().len(), 1);
    }

    #[test]
    fn a_name_cannot_be_registered_twice() {
        let registry = MetricRegistry::default();
        registry.counter("a", "help").unwrap();
        assert!(registry.gauge("a", "another help").is_err());
    }
}
