//! What the appliance tells about itself: log lines and metrics. Knows nothing of attendance or HTTP.

pub mod access;
mod lines;
pub mod log;
pub mod metrics;
mod moment;
mod recent;
