//! What operators see: log lines and metrics.

pub mod logging;
pub mod metrics;

pub use self::metrics::Metrics;
