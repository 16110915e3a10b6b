//! What the appliance tells about itself: log lines and metrics. Knows nothing of attendance or HTTP.

pub mod log;
pub mod metrics;
