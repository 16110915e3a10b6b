//! Log lines and metrics: everything the process reports about itself.
//!
//! Policy: this module is at the bottom of the layers and imports no other module; what it needs comes as plain values. It also
//! declares what belongs to the modules above it, so that each name is declared once and in one place:
//!
//! - [`metrics`] declares every metric of the process: those of HTTP, of the cache, of the connection pool, of the managed children and of
//!   the migrations. The modules above only set them.
//! - [`access`] defines the format of the access log, one line for each request.
//! - [`log`] writes all other events of the process.
//! - [`mod@format`] has the formats of a line: JSON, JSON for the journal, or text.
//!
//! Lines go through `nonblocking_writer`, so that a slow reader of the log never delays a request; `timestamp` formats their time, and
//! `cached_collector` limits how often an expensive metric is read. `metric_registry` has all metrics, and `text_format` writes the metrics as Prometheus reads them.

pub mod access;
mod cached_collector;
pub mod format;
pub mod log;
mod metric_registry;
pub mod metrics;
mod nonblocking_writer;
mod text_format;
mod timestamp;
