//! What the feed needs of SQL, one transaction a method.
//!
//! A trait, because there are two: [`SqlFeed`](super::SqlFeed) and the simulated database under
//! which the interleaving tests drive this same code.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::audit::Attempt;
use super::change::RecordedChange;
use super::entry::Entry;
use super::snapshot::{CannotApply, Snapshot};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::position::{ChangeHash, ChangeNumber, Position};
use crate::sql::SqlError;

/// Names one life of a replica: drawn at random each time it joins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub String);

/// A replica's row: the lease as everybody else sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaRow {
    pub incarnation: Incarnation,
    /// For people.
    pub name: String,
    /// The position this replica has published to its workers.
    pub applied: ChangeNumber,
    /// Grows with each renewal.
    pub beat: u64,
    /// The length of this replica's lease.
    pub lease: Duration,
    /// The newest version of grant records that this replica reads.
    pub record_version: u8,
}

/// What became of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Exactly this replica's row was changed, and the commit confirmed.
    Confirmed,
    /// The row was deleted: the replica must join anew.
    RowGone,
    /// The rows after the position are not all there: everything must be loaded. Nothing was
    /// changed.
    Reload,
}

/// Publishes rows that follow the replica's position, with the view after them; returns the
/// position that is now published.
pub type Publish<V> = Arc<dyn Fn(&[RecordedChange], V) -> Result<Position, CannotApply> + Send + Sync>;

/// Why the feed could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedError {
    Sql(SqlError),
    CannotApply(CannotApply),
    /// SQL lacks, or contradicts, commits that this replica has seen.
    LostCommits {
        seen: ChangeNumber,
        head: ChangeNumber,
    },
    /// The database holds another feed than the one followed so far.
    ForeignFeed,
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(error) => error.fmt(f),
            Self::CannotApply(error) => error.fmt(f),
            Self::LostCommits { seen, head } => write!(
                f,
                "the database has lost commits: change {seen} was seen, it now ends at {head} or \
                 says something else; if it was restored to an older state, run: symbolon recover"
            ),
            Self::ForeignFeed => {
                f.write_str("the database belongs to another installation than the one seen so far")
            }
        }
    }
}

impl std::error::Error for FeedError {}

impl From<SqlError> for FeedError {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<CannotApply> for FeedError {
    fn from(error: CannotApply) -> Self {
        Self::CannotApply(error)
    }
}

/// A replica's part: its state and its own lease. Each method is one transaction.
#[async_trait]
pub trait FeedStore<V>: Send + Sync {
    /// Loads the whole state and its position in one snapshot of SQL, with every revocation of a
    /// grant that has not ended. The lease deadline of the result is zero.
    async fn load(&self) -> Result<Snapshot<V>, FeedError>;

    /// The wall clock by which this replica may forget: the earlier of SQL's and its own.
    async fn retention_clock(&self) -> Result<Timestamp, FeedError>;

    /// Inserts a replica's row, durably.
    async fn join(&self, row: &ReplicaRow) -> Result<(), FeedError>;

    /// Reads the rows above `from` (nothing comes before that read), publishes them, sets the
    /// replica's `applied` to the position just published and adds one to its beat, durably.
    async fn renew(
        &self,
        incarnation: &Incarnation,
        from: Arc<Snapshot<V>>,
        publish: Publish<V>,
    ) -> Result<Renewal, FeedError>;

    /// Deletes the replica's own row.
    async fn leave(&self, incarnation: &Incarnation) -> Result<(), FeedError>;
}

/// Everybody's leases, as seen from outside.
#[async_trait]
pub trait Replicas: Send + Sync {
    /// All replica rows, in a read that begins with this call.
    async fn replicas(&self) -> Result<Vec<ReplicaRow>, FeedError>;

    /// Deletes a replica's row if its beat is still this one; whether it was.
    async fn evict(&self, incarnation: &Incarnation, beat: u64) -> Result<bool, FeedError>;
}

/// The writing end.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Numbers, chains and commits entries, in this order, in one durable transaction. A grant
    /// that is revoked already keeps its number, as does a rotation that is known to be lost.
    async fn record(&self, entries: Vec<Entry>) -> Result<Vec<ChangeNumber>, FeedError>;

    /// Records what was refused, which changes nothing, in one durable transaction.
    async fn record_attempts(&self, attempts: Vec<Attempt>) -> Result<(), FeedError>;
}

/// The end of the feed in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub position: Position,
    /// Rows up to this number may be missing.
    pub purged: ChangeNumber,
    /// The last change that `recover` wrote.
    pub recovered: ChangeNumber,
}

/// A part of the revocations, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationPage {
    pub grants: Vec<GrantId>,
    /// Every revocation up to here is in this page or an earlier one.
    pub reached: Position,
}

/// The feed's past: for the witness, for `recover` and for retention.
#[async_trait]
pub trait History: Send + Sync {
    async fn head(&self) -> Result<Head, FeedError>;

    /// The chain value of a change; `None` when its row is not there.
    async fn hash_of(&self, number: ChangeNumber) -> Result<Option<ChangeHash>, FeedError>;

    /// The next revocations after `after`, up to the head.
    async fn revocations_after(&self, after: ChangeNumber) -> Result<RevocationPage, FeedError>;

    /// Deletes rows that no replica and no restored store can need any more: older than `keep`,
    /// applied everywhere, and not a revocation of a grant that could still be alive.
    async fn purge(&self, keep: Duration) -> Result<usize, FeedError>;

    /// Notes that tokens are still made under this replica's current key.
    async fn note_key_use(&self) -> Result<(), FeedError>;
}
