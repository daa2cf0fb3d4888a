//! A grant store whose latency is measured, and bounded.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::identifier::GrantId;
use crate::grants::{EncodedRecord, GrantStore, StoreError};
use crate::telemetry::Metrics;

/// How long an operation may take before the request is answered without it.
const PATIENCE: Duration = Duration::from_millis(1800);

pub struct ObservedGrants {
    pub inner: Arc<dyn GrantStore>,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
}

impl ObservedGrants {
    async fn observe<T>(
        &self,
        operation: &str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let began = self.clock.boot();
        // A request on a store that hangs is answered within 2 s; the work goes on by itself.
        let late = || Err(StoreError::new("the grant store does not answer in time"));
        let outcome = tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| late());
        let took = self.clock.boot() - began;
        self.metrics.store_seconds.with_label_values(&[operation]).observe(took.as_secs_f64());
        if outcome.is_err() {
            self.metrics.store_errors.with_label_values(&[operation]).inc();
        }
        outcome
    }
}

#[async_trait]
impl GrantStore for ObservedGrants {
    async fn load(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError> {
        self.observe("load", self.inner.load(id)).await
    }

    async fn insert(
        &self,
        id: GrantId,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.observe("insert", self.inner.insert(id, record, expires_at)).await
    }

    async fn compare_and_swap(
        &self,
        id: GrantId,
        expected: &EncodedRecord,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let swap = self.inner.compare_and_swap(id, expected, record, expires_at);
        self.observe("compare_and_swap", swap).await
    }

    async fn remove(&self, id: GrantId) -> Result<bool, StoreError> {
        self.observe("remove", self.inner.remove(id)).await
    }
}
