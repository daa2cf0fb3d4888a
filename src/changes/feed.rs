//! The feed as a replica's workers use it: ask what is known, record a change, wait for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::acknowledge::{Acknowledgement, Acknowledger, Recorded};
use super::audit::Attempt;
use super::entry::Entry;
use super::published::Published;
use super::sequence::Sequence;
use super::snapshot::Snapshot;
use super::store::FeedError;
use super::witness::WitnessMover;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::position::ChangeNumber;
use crate::domain::store::RECORD_VERSION;

/// How long an acknowledgement waits for the grant store at most.
const WITNESS_PATIENCE: Duration = Duration::from_secs(1);

/// This replica holds no lease, or none that its wall clock bears out: it cannot know what has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLease;

impl fmt::Display for NoLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this replica holds no lease on the change feed")
    }
}

impl std::error::Error for NoLease {}

/// The handle of one replica's feed.
pub struct ChangeFeed<V> {
    pub(super) published: Arc<Published<V>>,
    clock: Arc<dyn Clock>,
    sequence: Sequence,
    acknowledger: Arc<Acknowledger>,
    witness: Arc<WitnessMover>,
}

impl<V> Clone for ChangeFeed<V> {
    fn clone(&self) -> Self {
        Self {
            published: Arc::clone(&self.published),
            clock: Arc::clone(&self.clock),
            sequence: self.sequence.clone(),
            acknowledger: Arc::clone(&self.acknowledger),
            witness: Arc::clone(&self.witness),
        }
    }
}

impl<V: Clone + Send + Sync + 'static> ChangeFeed<V> {
    pub fn new(
        published: Arc<Published<V>>,
        clock: Arc<dyn Clock>,
        sequence: Sequence,
        acknowledger: Arc<Acknowledger>,
        witness: Arc<WitnessMover>,
    ) -> Self {
        Self { published, clock, sequence, acknowledger, witness }
    }

    /// Judges by the snapshot that is current. To be called by every request after its last await:
    /// the snapshot is taken first and the clocks read after it, so that what passes this check was
    /// known to be current at a moment after the request began. `judge` cannot keep it, nor wait.
    ///
    /// # Errors
    /// When that snapshot's own lease has run out, or the wall clock was set back to before what it
    /// has forgotten: the answer is 503.
    pub fn with_current<T>(&self, judge: impl FnOnce(&Arc<Snapshot<V>>) -> T) -> Result<T, NoLease> {
        self.with_current_at(|snapshot, _| judge(snapshot))
    }

    /// The same, by the wall clock as it was read for that.
    ///
    /// # Errors
    /// The same.
    pub fn with_current_at<T>(
        &self,
        judge: impl FnOnce(&Arc<Snapshot<V>>, Timestamp) -> T,
    ) -> Result<T, NoLease> {
        self.published.look(|newest| {
            let snapshot = newest.ok_or(NoLease)?;
            let (boot, now) = (self.clock.boot(), self.clock.now());
            if snapshot.holds_at(boot, now) { Ok(judge(snapshot, now)) } else { Err(NoLease) }
        })
    }

    /// The snapshot that is current, to be kept: for its position, and for what it says of the
    /// time before an await.
    ///
    /// # Errors
    /// When its lease has run out: the answer is 503.
    pub fn current(&self) -> Result<Arc<Snapshot<V>>, NoLease> {
        self.with_current(Arc::clone)
    }

    /// The newest snapshot, lease or not: for health and metrics, never for an answer.
    pub fn newest(&self) -> Option<Arc<Snapshot<V>>> {
        self.published.newest()
    }

    /// Whether every replica reads the grant records that this one can write.
    pub fn all_read_new_records(&self) -> bool {
        self.published.record_version() >= RECORD_VERSION
    }

    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Records a change; returns after its durable commit.
    ///
    /// # Errors
    /// When SQL fails; the change may have been recorded all the same, and asking again is safe.
    pub async fn record(&self, entry: Entry) -> Result<Recorded, FeedError> {
        self.sequence.record(entry).await
    }

    /// Records what an authenticated caller was refused, as far as that can be done.
    pub async fn note(&self, attempt: Attempt) {
        self.sequence.note(attempt).await;
    }

    /// A change that this replica has read from the feed, recorded by whomever.
    pub fn known(&self, number: ChangeNumber) -> Recorded {
        Recorded { number, since: self.clock.boot() }
    }

    /// Waits until the change is known everywhere, or `patience` is over. Meanwhile moves the
    /// witness past it, if the grant store can be reached.
    ///
    /// # Errors
    /// When SQL fails to the end.
    pub async fn acknowledge(
        &self,
        recorded: Recorded,
        patience: Duration,
    ) -> Result<Acknowledgement, FeedError> {
        let passed = async {
            if let Err(error) = self.witness.pass(recorded.number).await {
                log::debug!("the witness is not moved past change {}: {error}", recorded.number);
            }
        };
        // The store may hang; the acknowledgement does not rest on it.
        let passed = tokio::time::timeout(patience.min(WITNESS_PATIENCE), passed);
        let (acknowledged, _) =
            futures_util::future::join(self.acknowledger.wait(recorded, patience), passed).await;
        acknowledged
    }
}
