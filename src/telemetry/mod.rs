//! What the appliance tells about itself: log lines and metrics. Knows nothing of attendance or HTTP.

pub mod access;
mod cached_collector;
pub mod log;
pub mod metrics;
mod nonblocking_writer;
mod timestamp;
