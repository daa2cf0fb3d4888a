//! The witness: keeping the grant store's mark up with the feed, and judging what it says.
//!
//! The mark stands at the position up to which the store's records of revoked grants have been
//! deleted. Behind what a replica remembers, an old state of the store was restored, and deleted
//! records may be back. Ahead of SQL, or with another chain value, *SQL* lost commits.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join;
use tokio::sync::Mutex;

use super::replica::WitnessPassed;
use super::store::{FeedError, Head, History, RevocationPage};
use crate::domain::position::{ChangeNumber, Position};
use crate::domain::store::{StoreError, Witness};

/// How many positions are remembered as proven, so that a reconnection needs no SQL.
const PROVEN: usize = 256;

/// Why a grant store must not be served from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WitnessError {
    /// The witness is ahead of SQL or contradicts it.
    SqlLostCommits {
        witness: ChangeNumber,
        head: ChangeNumber,
    },
    /// The grant store belongs to another database.
    ForeignFeed,
    Feed(FeedError),
    Store(StoreError),
}

impl fmt::Display for WitnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SqlLostCommits { witness, head } => write!(
                f,
                "the database has lost commits: the grant store has seen change {witness}, the \
                 database ends at {head} or says something else; if it was restored to an older \
                 state, run: symbolon recover"
            ),
            Self::ForeignFeed => f.write_str(
                "the grant store belongs to another database; connect the two that belong \
                 together, or, if the database was made anew, run: symbolon recover",
            ),
            Self::Feed(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WitnessError {}

impl WitnessError {
    /// What the witness proves against SQL; `None` when it only could not be asked.
    pub fn contradiction(&self) -> Option<FeedError> {
        match self {
            Self::SqlLostCommits { witness, head } => {
                Some(FeedError::LostCommits { seen: *witness, head: *head })
            }
            Self::ForeignFeed => Some(FeedError::ForeignFeed),
            Self::Feed(_) | Self::Store(_) => None,
        }
    }
}

impl From<FeedError> for WitnessError {
    fn from(error: FeedError) -> Self {
        Self::Feed(error)
    }
}

impl From<StoreError> for WitnessError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Moves and judges the witness of one grant store.
pub struct WitnessMover {
    witness: Arc<dyn Witness>,
    history: Arc<dyn History>,
    passed: WitnessPassed,
    /// Positions of this feed's past, proven so. Judging a connection takes only this lock, and so
    /// does not wait while a move waits for a store.
    proven: std::sync::Mutex<VecDeque<Position>>,
    /// Held by the one move under way; the last that failed, and when it did.
    moving: Mutex<Option<(u64, WitnessError)>>,
    /// Counts callers and failures, so that they can be ordered.
    ticks: AtomicU64,
}

impl WitnessMover {
    pub fn new(witness: Arc<dyn Witness>, history: Arc<dyn History>) -> Self {
        Self {
            witness,
            history,
            passed: WitnessPassed::default(),
            proven: std::sync::Mutex::default(),
            moving: Mutex::default(),
            ticks: AtomicU64::new(0),
        }
    }

    /// Shows how far the witness is known to have come.
    pub fn passed(&self) -> WitnessPassed {
        self.passed.clone()
    }

    /// Moves the witness to `target` or beyond, deleting the records of the grants revoked in
    /// between. Many callers share one move, and one failure: while the store hangs, nobody waits
    /// for more than one attempt that began after they asked.
    ///
    /// # Errors
    /// When the store or SQL cannot be asked, or the two do not belong together.
    pub async fn pass(&self, target: ChangeNumber) -> Result<(), WitnessError> {
        if self.passed.get() >= target {
            return Ok(());
        }
        let asked = self.ticks.fetch_add(1, Ordering::AcqRel);
        let mut failed = self.moving.lock().await;
        if self.passed.get() >= target {
            return Ok(());
        }
        if let Some((at, error)) = &*failed
            && *at > asked
        {
            return Err(error.clone());
        }
        let moved = match self.look().await {
            Ok(found) => self.move_on(found, target).await,
            Err(error) => Err(error),
        };
        let at = self.ticks.fetch_add(1, Ordering::AcqRel);
        *failed = moved.as_ref().err().map(|error| (at, error.clone()));
        moved
    }

    /// Reads the witness and moves it to SQL's head: the store's own regular check.
    ///
    /// # Errors
    /// As [`WitnessMover::pass`].
    pub async fn catch_up(&self) -> Result<(), WitnessError> {
        let _moving = self.moving.lock().await;
        let found = self.look().await?;
        let head = self.history.head().await?;
        if let Some(found) = found {
            // Proven anew each time: SQL may have lost, since, the commits that proved it.
            self.prove_by(found, &head).await?;
        }
        self.move_on(found, head.position.number).await
    }

    /// Judges a grant store by the witness that was found there: do it and SQL belong together,
    /// and has SQL lost nothing that the store has seen?
    ///
    /// # Errors
    /// When not, or when that cannot be known.
    pub async fn judge(&self, found: Option<Position>) -> Result<(), WitnessError> {
        self.prove(found).await
    }

    async fn look(&self) -> Result<Option<Position>, WitnessError> {
        let found = self.witness.read().await?;
        self.compare(found);
        Ok(found)
    }

    /// Notes when the store went back behind what this replica has seen it pass.
    fn compare(&self, found: Option<Position>) {
        if found.map_or(ChangeNumber::ZERO, |found| found.number) < self.passed.get() {
            log::warn!("the grant store went back in time: deleting again what was revoked since");
            self.passed.set_back();
        }
    }

    async fn move_on(&self, mut found: Option<Position>, target: ChangeNumber) -> Result<(), WitnessError> {
        let mut read_ahead = None;
        loop {
            self.prove(found).await?;
            let number = found.map_or(ChangeNumber::ZERO, |found| found.number);
            if found.is_some() && number >= target {
                self.passed.set(number);
                return Ok(());
            }
            let page = match read_ahead.take() {
                Some(page) => page,
                None => self.history.revocations_after(number).await?,
            };
            if page.reached.number < target && page.reached.number <= number {
                let head = page.reached.number;
                return Err(FeedError::LostCommits { seen: target, head }.into());
            }
            // After a restore there are many pages: SQL reads one while the store deletes the other.
            let advance = self.witness.advance(found, page.reached, &page.grants);
            let (advanced, next) = join(advance, self.page_after(page.reached.number, target)).await;
            found = if advanced? {
                self.remember(page.reached);
                read_ahead = next;
                Some(page.reached)
            } else {
                // Another replica was faster.
                self.look().await?
            };
        }
    }

    /// The page that will be needed next, if one will be and it can be read.
    async fn page_after(&self, number: ChangeNumber, target: ChangeNumber) -> Option<RevocationPage> {
        match number < target {
            true => self.history.revocations_after(number).await.ok(),
            false => None,
        }
    }

    /// Proves that a witness is a position of this feed's past. What was proven needs no SQL.
    async fn prove(&self, found: Option<Position>) -> Result<(), WitnessError> {
        let Some(found) = found else { return Ok(()) };
        if self.positions().contains(&found) {
            return Ok(());
        }
        self.prove_by(found, &self.history.head().await?).await
    }

    async fn prove_by(&self, found: Position, head: &Head) -> Result<(), WitnessError> {
        if found.feed != head.position.feed {
            return Err(WitnessError::ForeignFeed);
        }
        let lost = WitnessError::SqlLostCommits { witness: found.number, head: head.position.number };
        if found.number > head.position.number {
            return Err(lost);
        }
        // Before the last recovery the past may be another one: everything born then is dead.
        let same = found.number < head.recovered
            || found == head.position
            || match self.history.hash_of(found.number).await? {
                Some(hash) => hash == found.hash,
                None => found.number <= head.purged,
            };
        if !same {
            return Err(lost);
        }
        self.remember(found);
        Ok(())
    }

    fn positions(&self) -> std::sync::MutexGuard<'_, VecDeque<Position>> {
        self.proven.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn remember(&self, position: Position) {
        let mut positions = self.positions();
        if positions.contains(&position) {
            return;
        }
        if positions.len() >= PROVEN {
            positions.pop_front();
        }
        positions.push_back(position);
    }
}
