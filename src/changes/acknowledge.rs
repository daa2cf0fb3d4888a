//! Acknowledgement: when is a change known everywhere?
//!
//! Change *n* is acknowledged when, in a read that began after its commit returned, every replica
//! has applied *n* or has no row, or else a replica's whole lease has passed since that commit
//! returned: a lease that lacks *n* began before the commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use super::store::{FeedError, ReplicaRow, Replicas};
use crate::domain::clock::{BootTime, Clock};
use crate::domain::position::ChangeNumber;

/// The first and the longest pause between two looks at the replicas.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A change that was recorded, or found recorded already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub number: ChangeNumber,
    /// Boot time after the commit returned, or after the read that first showed the change.
    pub since: BootTime,
}

/// How one replica stands to a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has published the change to all its workers.
    Applied,
    /// It has not, and its lease has run out since.
    LeaseRanOut,
    /// It has not, and may still answer by what it knew before.
    Pending,
}

/// Who has confirmed a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Each replica by name. Replicas without a row answer nothing and are not listed.
    pub replicas: Vec<(String, Standing)>,
    /// From the commit's return to this answer.
    pub took: Duration,
}

impl Acknowledgement {
    /// Whether no replica can answer by a state that lacks the change.
    pub fn is_complete(&self) -> bool {
        self.replicas.iter().all(|(_, standing)| *standing != Standing::Pending)
    }

    pub fn pending(&self) -> impl Iterator<Item = &str> {
        let pending = |(_, standing): &&(String, Standing)| *standing == Standing::Pending;
        self.replicas.iter().filter(pending).map(|(name, _)| name.as_str())
    }
}

/// Waits for acknowledgements; many waiters share one read.
pub struct Acknowledger {
    replicas: Arc<dyn Replicas>,
    clock: Arc<dyn Clock>,
    reads: FreshReads,
}

impl Acknowledger {
    pub fn new(replicas: Arc<dyn Replicas>, clock: Arc<dyn Clock>) -> Self {
        Self { replicas, clock, reads: FreshReads::default() }
    }

    /// Looks once, in a fresh read.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn look(&self, recorded: Recorded) -> Result<Acknowledgement, FeedError> {
        let rows = self.reads.read(self.replicas.as_ref()).await?;
        let took = self.clock.boot() - recorded.since;
        let stand = |row: &ReplicaRow| {
            if row.applied >= recorded.number {
                Standing::Applied
            } else if took >= row.lease {
                Standing::LeaseRanOut
            } else {
                Standing::Pending
            }
        };
        let replicas = rows.iter().map(|row| (row.name.clone(), stand(row))).collect();
        Ok(Acknowledgement { replicas, took })
    }

    /// Looks until the change is acknowledged, or until `patience` is over since it was recorded.
    ///
    /// # Errors
    /// When SQL fails to the end.
    pub async fn wait(&self, recorded: Recorded, patience: Duration) -> Result<Acknowledgement, FeedError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let looked = self.look(recorded).await;
            let left = patience.saturating_sub(self.clock.boot() - recorded.since);
            let complete = looked.as_ref().is_ok_and(Acknowledgement::is_complete);
            if complete || left.is_zero() {
                return looked;
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

type ReadRows = Result<Arc<Vec<ReplicaRow>>, FeedError>;

/// Shares reads among those who ask at the same time: whoever asks gets a read that *began* after
/// they asked, or its failure.
#[derive(Default)]
struct FreshReads {
    /// Counts askers and beginnings of reads, so that they can be ordered.
    ticks: AtomicU64,
    last: Mutex<Option<(u64, ReadRows)>>,
}

impl FreshReads {
    async fn read(&self, replicas: &dyn Replicas) -> ReadRows {
        let asked = self.ticks.fetch_add(1, Ordering::AcqRel);
        let mut last = self.last.lock().await;
        if let Some((began, outcome)) = last.as_ref()
            && *began > asked
        {
            return outcome.clone();
        }
        let began = self.ticks.fetch_add(1, Ordering::AcqRel);
        let outcome = replicas.replicas().await.map(Arc::new);
        *last = Some((began, outcome.clone()));
        outcome
    }
}
