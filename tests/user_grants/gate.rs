//! A store of grants at which a request can be held back just before it replaces a record: between what it read and
//! what it makes of that. Or just after: between what it knew and its last look at what is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use symbolon::domain::clock::Timestamp;
use symbolon::domain::identifier::GrantId;
use symbolon::grants::{EncodedRecord, GrantStore, StoreError};
use tokio::sync::Notify;

/// Open, until somebody closes it for the next who comes.
#[derive(Default)]
pub struct Gate {
    closed_before: AtomicBool,
    closed_after: AtomicBool,
    somebody_waits: Notify,
    opened: Notify,
}

impl Gate {
    /// Holds back the next request that has replaced a record, while `meanwhile` happens; what became of both.
    pub async fn hold_back<R, M>(
        &self,
        request: impl Future<Output = R>,
        meanwhile: impl Future<Output = M>,
    ) -> (R, M) {
        self.hold_back_at(&self.closed_after, Box::pin(request), Box::pin(meanwhile)).await
    }

    /// Holds back the next request that is about to replace a record, while `meanwhile` happens.
    pub async fn hold_back_before<R, M>(
        &self,
        request: impl Future<Output = R>,
        meanwhile: impl Future<Output = M>,
    ) -> (R, M) {
        self.hold_back_at(&self.closed_before, Box::pin(request), Box::pin(meanwhile)).await
    }

    async fn hold_back_at<R, M>(
        &self,
        closed: &AtomicBool,
        request: impl Future<Output = R>,
        meanwhile: impl Future<Output = M>,
    ) -> (R, M) {
        closed.store(true, Ordering::SeqCst);
        futures_util::future::join(request, async {
            self.somebody_waits.notified().await;
            let happened = meanwhile.await;
            self.opened.notify_one();
            happened
        })
        .await
    }

    async fn pass(&self, closed: &AtomicBool) {
        if closed.swap(false, Ordering::SeqCst) {
            self.somebody_waits.notify_one();
            self.opened.notified().await;
        }
    }
}

/// A store behind a gate.
pub struct Gated {
    pub store: Arc<dyn GrantStore>,
    pub gate: Arc<Gate>,
}

#[async_trait]
impl GrantStore for Gated {
    async fn load(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError> {
        self.store.load(id).await
    }

    async fn insert(
        &self,
        id: GrantId,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store.insert(id, record, expires_at).await
    }

    async fn compare_and_swap(
        &self,
        id: GrantId,
        expected: &EncodedRecord,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.gate.pass(&self.gate.closed_before).await;
        let swapped = self.store.compare_and_swap(id, expected, record, expires_at).await?;
        if swapped {
            self.gate.pass(&self.gate.closed_after).await;
        }
        Ok(swapped)
    }

    async fn remove(&self, id: GrantId) -> Result<bool, StoreError> {
        self.store.remove(id).await
    }
}
