//! What operators see: log lines and metrics.

pub mod logging;
pub mod metrics;
mod sharded;

pub use prometheus::IntCounter;

pub use self::metrics::{EndpointMetrics, Metrics};
pub use self::sharded::ShardedHistogram;
