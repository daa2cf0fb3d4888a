//! SQL, as far as the feed needs it: rows, snapshots, one lock, transactions that can be lost.

use std::collections::BTreeMap;
use std::time::Duration;

use symbolon::changes::{
    Change, Entry, FeedError, Head, Incarnation, Kills, RecordedChange, Renewal, ReplicaRow,
    RestrictedGrants, RevocationPage, RevokedGrants, Snapshot,
};
use symbolon::domain::clock::{BootTime, Timestamp};
use symbolon::domain::position::{ChangeHash, ChangeNumber, FeedId, Position};
use symbolon::sql::SqlError;

use crate::server::Lost;

/// How long a transaction may be idle before the server ends it, where the server does that.
const IDLE: Duration = Duration::from_millis(100);
/// How many revocations are read at once: so few that pages matter.
const PAGE: usize = 3;
pub const FEED: FeedId = FeedId([7; 16]);

impl From<Lost> for FeedError {
    fn from(_: Lost) -> Self {
        Self::Sql(SqlError::Uncertain("no answer".to_owned()))
    }
}

fn aborted() -> FeedError {
    FeedError::Sql(SqlError::Unavailable("the transaction was ended".to_owned()))
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Transaction(pub u64);

#[derive(Default)]
pub struct Tables {
    /// All rows there ever were: a purged row is one below the mark.
    pub rows: Vec<RecordedChange>,
    pub purged: u64,
    pub replicas: BTreeMap<Incarnation, ReplicaRow>,
    /// What a crash leaves of the replicas. The same, while everything commits durably.
    durable: BTreeMap<Incarnation, ReplicaRow>,
    /// The open transactions, each with its machine and when it did something last.
    open: BTreeMap<Transaction, (usize, u64)>,
    head_lock: Option<Transaction>,
    transactions: u64,
    pub ends_the_idle: bool,
    pub now: u64,
}

impl Tables {
    pub fn name_transaction(&mut self) -> Transaction {
        self.transactions += 1;
        Transaction(self.transactions)
    }

    pub fn begin(&mut self, transaction: Transaction, machine: usize) {
        self.open.insert(transaction, (machine, self.now));
    }

    /// This machine's connections are gone.
    pub fn hang_up(&mut self, machine: usize) {
        let of_it = self.open.iter().filter(|(_, (owner, _))| *owner == machine);
        for transaction in of_it.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.roll_back(transaction);
        }
    }

    pub fn roll_back(&mut self, transaction: Transaction) {
        self.open.remove(&transaction);
        if self.head_lock == Some(transaction) {
            self.head_lock = None;
        }
    }

    /// Ends a transaction that is about to commit.
    pub fn end(&mut self, transaction: Transaction) -> Result<(), FeedError> {
        let open = self.is_open(transaction);
        self.roll_back(transaction);
        if open { Ok(()) } else { Err(aborted()) }
    }

    fn is_open(&self, transaction: Transaction) -> bool {
        let idle = |since: u64| Duration::from_micros(self.now - since) > IDLE;
        self.open.get(&transaction).is_some_and(|(_, since)| !(self.ends_the_idle && idle(*since)))
    }

    pub fn head_is_free(&self) -> bool {
        self.head_lock.is_none_or(|holder| !self.is_open(holder))
    }

    pub fn lock_head(&mut self, transaction: Transaction) {
        self.head_lock = Some(transaction);
    }

    /// Everybody's connection is gone already.
    pub fn crash(&mut self) {
        self.open.clear();
        self.head_lock = None;
        self.replicas = self.durable.clone();
    }

    pub fn make_durable(&mut self) {
        self.durable = self.replicas.clone();
    }

    pub fn position(&self) -> Position {
        let start = Position { feed: FEED, ..Position::default() };
        self.rows.last().map_or(start, |row| Position { number: row.number, hash: row.hash, feed: FEED })
    }

    fn visible(&self) -> impl Iterator<Item = &RecordedChange> {
        let kept = |row: &&RecordedChange| {
            row.number.get() > self.purged || matches!(row.entry.change, Change::GrantRevoked { .. })
        };
        self.rows.iter().filter(kept)
    }

    pub fn load(&self) -> Snapshot<()> {
        let mut revoked = RevokedGrants::default();
        for row in self.visible() {
            if let Change::GrantRevoked { grant, ends_at } = &row.entry.change {
                revoked.insert(*grant, ends_at.unwrap_or_default(), row.number);
            }
        }
        // Kill numbers have their own table, which is never purged.
        let mut kills = Kills::default();
        for row in &self.rows {
            if let Some(scope) = row.entry.change.killed() {
                kills.raise(scope, row.number);
            }
        }
        Snapshot {
            position: self.position(),
            deadline: BootTime::default(),
            forgotten_before: Timestamp::default(),
            memory_floor: ChangeNumber::ZERO,
            recovered: ChangeNumber::ZERO,
            revoked,
            restricted: RestrictedGrants::default(),
            kills,
            view: (),
        }
    }

    /// All rows after `from`; `None` when they are not all there.
    pub fn rows_after(&self, from: Position) -> Result<Option<Vec<RecordedChange>>, FeedError> {
        let head = self.position();
        if head.number < from.number {
            return Err(FeedError::LostCommits { seen: from.number, head: head.number });
        }
        let rows: Vec<_> = self.visible().filter(|row| row.number > from.number).cloned().collect();
        if rows.len() as u64 != head.number.get() - from.number.get() {
            return Ok(None);
        }
        let mut hash = from.hash;
        for row in &rows {
            if !row.follows(&hash) {
                return Err(FeedError::LostCommits { seen: from.number, head: head.number });
            }
            hash = row.hash;
        }
        Ok(Some(rows))
    }

    pub fn insert(&mut self, row: ReplicaRow) {
        self.replicas.insert(row.incarnation.clone(), row);
        self.make_durable();
    }

    /// Whether there was such a row.
    pub fn delete(&mut self, incarnation: &Incarnation, beat: Option<u64>) -> bool {
        let found =
            self.replicas.get(incarnation).is_some_and(|row| beat.is_none_or(|beat| row.beat == beat));
        if found {
            self.replicas.remove(incarnation);
            self.make_durable();
        }
        found
    }

    /// `seen` says whether the transaction's snapshot holds the row: one that was deleted since fails it.
    pub fn renew(
        &mut self,
        incarnation: &Incarnation,
        applied: ChangeNumber,
        seen: bool,
    ) -> Result<Renewal, FeedError> {
        match self.replicas.get_mut(incarnation) {
            None if seen => Err(aborted()),
            None => Ok(Renewal::RowGone),
            Some(row) => {
                row.applied = applied;
                row.beat += 1;
                Ok(Renewal::Confirmed)
            }
        }
    }

    pub fn record(&mut self, entries: Vec<Entry>, now: Timestamp) -> Vec<ChangeNumber> {
        let numbers = entries.into_iter().map(|entry| self.record_one(entry, now)).collect();
        self.make_durable();
        numbers
    }

    fn record_one(&mut self, entry: Entry, now: Timestamp) -> ChangeNumber {
        if let Change::GrantRevoked { grant: asked, .. } = &entry.change {
            let same = |row: &&RecordedChange| matches!(&row.entry.change, Change::GrantRevoked { grant, .. } if grant == asked);
            if let Some(row) = self.rows.iter().find(same) {
                return row.number;
            }
        }
        let head = self.position();
        let row = RecordedChange::chain(&head.hash, head.number.next(), entry, now);
        let number = row.number;
        self.rows.push(row);
        number
    }

    pub fn head(&self) -> Head {
        Head {
            position: self.position(),
            purged: ChangeNumber::new(self.purged),
            recovered: ChangeNumber::ZERO,
        }
    }

    pub fn hash_of(&self, number: ChangeNumber) -> Option<ChangeHash> {
        self.visible().find(|row| row.number == number).map(|row| row.hash)
    }

    pub fn revocations_after(&self, after: ChangeNumber) -> RevocationPage {
        let mut page = RevocationPage { grants: Vec::new(), reached: self.position() };
        for row in self.visible().filter(|row| row.number > after) {
            if let Change::GrantRevoked { grant, .. } = &row.entry.change {
                page.grants.push(*grant);
                if page.grants.len() == PAGE {
                    page.reached = Position { number: row.number, hash: row.hash, feed: FEED };
                    break;
                }
            }
        }
        page
    }

    pub fn purge(&mut self) {
        let head = self.position().number;
        let applied = self.replicas.values().map(|row| row.applied).min().unwrap_or(head);
        self.purged = self.purged.max(applied.get());
    }
}
