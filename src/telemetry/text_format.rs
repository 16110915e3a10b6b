//! Prometheus's text format.
//!
//! Policy: the text is byte for byte that of the crate's own encoder, which formats each label and each boundary of a bucket anew for every line, and
//! allocates for each. Most lines are buckets: here the labels of a series are written once and copied, the boundaries are formatted
//! once for a family, and whole numbers, which nearly all values are, without the machinery for fractions.

use std::io::Write as _;

use prometheus::proto::{Histogram, Metric, MetricFamily, MetricType};
use prometheus::{Encoder as _, Error, TextEncoder};

/// Below this, every whole number is one that an `f64` represents exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends families.
///
/// # Errors
/// When one cannot be encoded; it is not silently left out.
pub fn encode(families: &[MetricFamily], out: &mut Vec<u8>) -> Result<(), Error> {
    for family in families {
        match family.get_field_type() {
            MetricType::COUNTER => encode_family(family, "counter", out, |name, metric, out| {
                write_sample(name, &labels(metric), metric.get_counter().get_value(), out);
            }),
            MetricType::GAUGE => encode_family(family, "gauge", out, |name, metric, out| {
                write_sample(name, &labels(metric), metric.get_gauge().get_value(), out);
            }),
            MetricType::HISTOGRAM => {
                let mut boundaries = Boundaries::default();
                encode_family(family, "histogram", out, |name, metric, out| {
                    write_histogram(name, metric, &mut boundaries, out);
                });
            }
            // No metric of this program has another type.
            MetricType::SUMMARY | MetricType::UNTYPED => {
                TextEncoder::new().encode(std::slice::from_ref(family), out)?;
            }
        }
    }
    Ok(())
}

fn encode_family(
    family: &MetricFamily,
    kind: &str,
    out: &mut Vec<u8>,
    mut write: impl FnMut(&str, &Metric, &mut Vec<u8>),
) {
    let name = family.name();
    if !family.help().is_empty() {
        append(out, &["# HELP ", name, " "]);
        append_escaped(out, family.help(), false);
        out.push(b'\n');
    }
    append(out, &["# TYPE ", name, " ", kind, "\n"]);
    for metric in family.get_metric() {
        write(name, metric, out);
    }
}

/// The boundaries of buckets, as texts. The series of a family have the same ones.
#[derive(Default)]
struct Boundaries(Vec<(f64, String)>);

impl Boundaries {
    /// The boundary of the bucket at `position`; the earlier positions have been asked for.
    fn text(&mut self, position: usize, boundary: f64) -> &str {
        if self.0.get(position).is_none_or(|(known, _)| known.to_bits() != boundary.to_bits()) {
            self.0.truncate(position);
            self.0.push((boundary, boundary.to_string()));
        }
        &self.0[position].1
    }
}

fn write_histogram(name: &str, metric: &Metric, boundaries: &mut Boundaries, out: &mut Vec<u8>) {
    let histogram: &Histogram = metric.get_histogram();
    let labels = labels(metric);
    let mut has_infinity = false;
    let bucket = |boundary: &str, count: u64, out: &mut Vec<u8>| {
        append(out, &[name, "_bucket{"]);
        if !labels.is_empty() {
            out.extend_from_slice(&labels);
            out.push(b',');
        }
        append(out, &["le=\"", boundary, "\"} "]);
        write_number(count as f64, out);
        out.push(b'\n');
    };
    for (position, found) in histogram.get_bucket().iter().enumerate() {
        has_infinity |= found.upper_bound() == f64::INFINITY;
        bucket(boundaries.text(position, found.upper_bound()), found.cumulative_count(), out);
    }
    if !has_infinity {
        bucket("+Inf", histogram.get_sample_count(), out);
    }
    for (suffix, value) in [("_sum", histogram.get_sample_sum()), ("_count", histogram.get_sample_count() as f64)] {
        out.extend_from_slice(name.as_bytes());
        write_sample(suffix, &labels, value, out);
    }
}

/// Appends a line: the name, the labels, the value.
fn write_sample(name: &str, labels: &[u8], value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    if !labels.is_empty() {
        out.push(b'{');
        out.extend_from_slice(labels);
        out.push(b'}');
    }
    out.push(b' ');
    write_number(value, out);
    out.push(b'\n');
}

/// The labels of a series, without the braces.
fn labels(metric: &Metric) -> Vec<u8> {
    let labels = metric.get_label();
    let mut text = Vec::with_capacity(labels.iter().map(|label| label.name().len() + label.value().len() + 4).sum());
    for (position, label) in labels.iter().enumerate() {
        append(&mut text, &[if position == 0 { "" } else { "," }, label.name(), "=\""]);
        append_escaped(&mut text, label.value(), true);
        text.push(b'"');
    }
    text
}

fn append(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends a text with a backslash before each backslash and, if `has_quotes`, each quotation mark; a line break becomes `\n`.
fn append_escaped(out: &mut Vec<u8>, text: &str, has_quotes: bool) {
    let is_escaped = |byte| matches!(byte, b'\\' | b'\n') || (has_quotes && byte == b'"');
    // As in nearly every text.
    if !text.bytes().any(is_escaped) {
        return out.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'"' if has_quotes => out.extend_from_slice(br#"\""#),
            byte => out.push(byte),
        }
    }
}

/// Appends the shortest number that is read back as the same value.
fn write_number(value: f64, out: &mut Vec<u8>) {
    let whole = value as i64;
    // The sign of zero would be lost.
    if whole as f64 == value && value.abs() < MAX_EXACT && value.to_bits() != (-0.0_f64).to_bits() {
        return write_integer(whole, out);
    }
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value}");
}

fn write_integer(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use prometheus::core::Collector;
    use prometheus::{Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

    use super::*;

    /// What this module and the crate make of the metrics of a registry.
    fn both(registry: &Registry) -> (String, String) {
        let families = registry.gather();
        let mut ours = Vec::new();
        encode(&families, &mut ours).unwrap();
        (String::from_utf8(ours).unwrap(), TextEncoder::new().encode_to_string(&families).unwrap())
    }

    fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
        registry.register(Box::new(collector.clone())).unwrap();
        collector
    }

    #[test]
    fn the_text_is_that_of_the_crate() {
        let registry = Registry::new();
        let values = [
            0.0,
            -0.0,
            1.0,
            -7.0,
            0.1,
            -2.5e-9,
            123_456.789,
            MAX_EXACT - 1.0,
            -MAX_EXACT,
            1e16,
            1e300,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
        ];
        let gauges = add(&registry, GaugeVec::new(Opts::new("g", "a \\ \"help\"\nof two lines"), &["b", "a"]).unwrap());
        for (number, value) in values.into_iter().enumerate() {
            gauges.with_label_values(&[&number.to_string(), "\\ \"quoted\"\n{},="]).set(value);
        }
        add(&registry, Gauge::new("plain", "p").unwrap()).set(2.5);
        add(&registry, Counter::new("counter", "c").unwrap()).inc_by(3.0);
        add(&registry, IntCounterVec::new(Opts::new("none", "has no series"), &["a"]).unwrap());
        add(&registry, Gauge::with_opts(Opts::new("constant", "c").const_label("k", "v")).unwrap()).set(1e15);
        let options = || HistogramOpts::new("h", "h").buckets(vec![0.0001, 0.5, 1.0, 10.0]);
        let histograms = add(&registry, HistogramVec::new(options(), &["path"]).unwrap());
        for (path, value) in [("/a", 0.25), ("/b", 1e9), ("/a", 3.0)] {
            histograms.with_label_values(&[path]).observe(value);
        }
        let mut infinite = options().buckets(vec![1.0, f64::INFINITY]);
        infinite.common_opts.name = "infinite".to_owned();
        add(&registry, Histogram::with_opts(infinite).unwrap()).observe(2.0);
        let (ours, expected) = both(&registry);
        assert_eq!(ours, expected);
        assert!(ours.contains("h_bucket{path=\"/a\",le=\"0.0001\"} 0\n") && !ours.contains("none"), "{ours}");
    }

    #[test]
    fn series_of_a_family_with_other_boundaries_have_their_own() {
        let mut boundaries = Boundaries::default();
        for boundary in [1.0, 1.0, 2.5, 1.0] {
            assert_eq!(boundaries.text(0, boundary), boundary.to_string());
            assert_eq!(boundaries.text(1, 4.0), "4");
        }
    }
}
