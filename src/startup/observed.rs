//! A grant store whose latency is measured, and bounded.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::identifier::GrantId;
use crate::grants::{EncodedRecord, GrantStore, StoreError};
use crate::telemetry::{IntCounter, Metrics, ShardedHistogram};

/// How long an operation may take before the request is answered without it.
const PATIENCE: Duration = Duration::from_millis(1800);

pub struct ObservedGrants {
    inner: Arc<dyn GrantStore>,
    clock: Arc<dyn Clock>,
    /// The store itself answers or fails in time.
    is_prompt: bool,
    load: Operation,
    insert: Operation,
    compare_and_swap: Operation,
    remove: Operation,
}

/// The metrics of one operation, looked up once.
struct Operation {
    seconds: ShardedHistogram,
    errors: IntCounter,
}

impl ObservedGrants {
    /// `is_prompt` says that the store bounds its own time.
    pub fn new(
        inner: Arc<dyn GrantStore>,
        metrics: &Metrics,
        clock: Arc<dyn Clock>,
        is_prompt: bool,
    ) -> Self {
        let operation = |name: &str| {
            let (seconds, errors) = metrics.store_operation(name);
            Operation { seconds, errors }
        };
        Self {
            inner,
            clock,
            is_prompt,
            load: operation("load"),
            insert: operation("insert"),
            compare_and_swap: operation("compare_and_swap"),
            remove: operation("remove"),
        }
    }

    async fn observe<T>(
        &self,
        operation: &Operation,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let began = self.clock.boot();
        let outcome = if self.is_prompt {
            work.await
        } else {
            // A request on a store that hangs is answered within 2 s; the work goes on by itself.
            let late = || Err(StoreError::new("the grant store does not answer in time"));
            tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| late())
        };
        operation.seconds.observe((self.clock.boot() - began).as_secs_f64());
        if outcome.is_err() {
            operation.errors.inc();
        }
        outcome
    }
}

#[async_trait]
impl GrantStore for ObservedGrants {
    async fn load(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError> {
        self.observe(&self.load, self.inner.load(id)).await
    }

    async fn insert(
        &self,
        id: GrantId,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.observe(&self.insert, self.inner.insert(id, record, expires_at)).await
    }

    async fn compare_and_swap(
        &self,
        id: GrantId,
        expected: &EncodedRecord,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let swap = self.inner.compare_and_swap(id, expected, record, expires_at);
        self.observe(&self.compare_and_swap, swap).await
    }

    async fn remove(&self, id: GrantId) -> Result<bool, StoreError> {
        self.observe(&self.remove, self.inner.remove(id)).await
    }
}
