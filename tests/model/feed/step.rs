//! What can happen, in words.

use std::fmt::{self, Display};

use super::state::{Position, name};

/// A step; the index is a replica's, the position a change's number.
#[derive(Clone, Copy)]
pub enum Step {
    Tick,
    Commit(Position),
    CommitReturns(Position),
    AcknowledgeByRows(Position),
    AcknowledgeByTime(Position),
    SqlCrashes,
    WatchRow(usize),
    DeleteSilentRow(usize),
    Load(usize),
    Insert(usize),
    NoteClock(usize),
    Read(usize),
    Publish(usize),
    CommitRenewal(usize),
    Confirm(usize),
    LoseConnection(usize),
    Stop(usize),
    DeleteOwnRow(usize),
    CacheSnapshot(usize),
    CacheClock(usize),
    TakeSnapshot(usize),
    Answer(usize),
    NoteBirth,
    Authenticate,
    Store,
    HandOut,
    Introspect(usize),
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Step::*;
        match *self {
            Tick => write!(f, "a tick passes"),
            Commit(n) => write!(f, "change {n} commits"),
            CommitReturns(n) => write!(f, "the commit of change {n} returns"),
            AcknowledgeByRows(n) => write!(f, "change {n} is acknowledged: every row has it"),
            AcknowledgeByTime(n) => write!(f, "change {n} is acknowledged: a lease has passed"),
            SqlCrashes => write!(f, "SQL crashes and restores what was durable"),
            WatchRow(r) => write!(f, "the deleter reads {}'s beat", name(r)),
            DeleteSilentRow(r) => write!(f, "the deleter deletes {}'s row as silent", name(r)),
            Load(r) => write!(f, "{} starts and loads everything up to the head", name(r)),
            Insert(r) => write!(f, "{} inserts its row", name(r)),
            NoteClock(r) => write!(f, "{} notes t0", name(r)),
            Read(r) => write!(f, "{} reads the rows above its position", name(r)),
            Publish(r) => write!(f, "{} publishes what it read", name(r)),
            CommitRenewal(r) => write!(f, "{}'s update of its row commits", name(r)),
            Confirm(r) => write!(f, "{} receives the confirmation", name(r)),
            LoseConnection(r) => write!(f, "{} loses its connection to SQL", name(r)),
            Stop(r) => write!(f, "{} crashes, or drains and drops its lease", name(r)),
            DeleteOwnRow(r) => write!(f, "{} deletes its row to leave", name(r)),
            CacheSnapshot(r) => write!(f, "a worker of {} caches the snapshot", name(r)),
            CacheClock(r) => write!(f, "a worker of {} caches the clock", name(r)),
            TakeSnapshot(r) => write!(f, "a request begins on {} and gets a snapshot", name(r)),
            Answer(r) => write!(f, "{} reads the clock and answers active", name(r)),
            NoteBirth => write!(f, "a mint on A notes its birth number"),
            Authenticate => write!(f, "the mint's client authenticates"),
            Store => write!(f, "the mint's grant goes into Redis"),
            HandOut => write!(f, "the mint looks at its final snapshot and answers"),
            Introspect(r) => write!(f, "the minted token is introspected on {}", name(r)),
        }
    }
}
