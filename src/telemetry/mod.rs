//! What operators see: log lines and metrics.

pub mod logging;
pub mod metrics;

pub use prometheus::{Histogram, IntCounter};

pub use self::metrics::{EndpointMetrics, Metrics};
